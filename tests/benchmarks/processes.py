"""Work in a process that has done nothing before, and how far its memory rises."""

import multiprocessing
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

_PROC = Path("/proc/self")


def in_fresh_process(work: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns in a process of its own."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


class PeakMemory:
    """The rise of this process' peak resident memory since the object was made, as Linux counts it."""

    def __init__(self) -> None:
        (_PROC / "clear_refs").write_text("5")  # the peak so far is forgotten
        self._before = _peak_kilobytes()

    def megabytes(self) -> float:
        """Return by how much the peak has risen, in MB."""
        return (_peak_kilobytes() - self._before) / 1000


def _peak_kilobytes() -> int:
    return int(re.search(r"VmHWM:\s+(\d+)", (_PROC / "status").read_text())[1])
