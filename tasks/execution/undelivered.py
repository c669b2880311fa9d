"""Metrics that their server has not got yet, in files of the store: what a run that is killed meanwhile had measured is
not lost. Numbers and their names are public.

    LETHE_HOME/undelivered/<run>-<process>-<moment>.json
"""

import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks import store

Row = tuple[int, int, Mapping[str, float]]
"""Step, milliseconds of the epoch, values by name."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Rows of a run that wait."""

    file: Path
    run: str
    rows: list[Row]


def place(run: str) -> Path:
    """Return a name of its own for the rows of a run that will wait."""
    _room().mkdir(mode=0o700, exist_ok=True)
    return _room() / f"{run}-{os.getpid()}-{threading.get_ident()}-{time.monotonic_ns()}.json"


def keep(file: Path, server: str, run: str, rows: Sequence[Row]) -> None:
    """Keep rows for a server, whole or not at all; those that the file had are replaced.

    Args:
        file: Their place.
        server: The server's address, without password.
        run: Their run there.
        rows: What it has not got.
    """
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps({"server": server, "run": run, "rows": list(rows)}), encoding="utf-8")
    temporary.replace(file)


def waiting(server: str) -> list[Waiting]:
    """Return what waits for a server; a damaged file is not touched."""
    found = []
    for file in sorted(_room().glob("*.json")):
        kept = store.read_manifest(file)
        if kept.get("server") == server and isinstance(kept.get("rows"), list):
            found.append(Waiting(file=file, run=str(kept.get("run")), rows=[tuple(row) for row in kept["rows"]]))
    return found


def _room() -> Path:
    return store.home() / "undelivered"
