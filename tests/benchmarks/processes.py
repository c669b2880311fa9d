"""Work in a process that has done nothing before, and how far its memory rises."""

import multiprocessing
import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any

_PROC = Path("/proc/self")
NOTHING_KEPT = {"MALLOC_MMAP_THRESHOLD_": "65536"}
"""Environment in which glibc gives back every freed tensor at once: the peak is that of what lives, and every
allocation takes longer."""


def in_fresh_process(
    work: Callable[..., Any], *arguments: Any, environment: Mapping[str, str] = MappingProxyType({})
) -> Any:
    """Return what a function returns in a process of its own, which starts with some environment variables more."""
    os.environ.update(environment)
    try:
        return _in_fresh_process(work, arguments)
    finally:
        for name in environment:
            del os.environ[name]


def _in_fresh_process(work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
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


class PeakGpuMemory:
    """The rise of the peak of what tensors hold on the GPU since the object was made, in this process."""

    def __init__(self) -> None:
        import torch

        torch.cuda.reset_peak_memory_stats()
        self._before = torch.cuda.max_memory_allocated()

    def megabytes(self) -> float:
        """Return by how much the peak has risen, in MB."""
        import torch

        return (torch.cuda.max_memory_allocated() - self._before) / 1e6
