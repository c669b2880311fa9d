"""The SQLite database of a store's runs: there as a whole, or not at all.

MLflow makes its tables one after the other. A process that is killed meanwhile, or a disk that is full, leaves some of
them, with which no later run can do anything. So the database is made under a name of its own and renamed when it is
whole; one that was left unfinished, or is none, is set aside.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tasks import store

BESIDE = ("", "-wal", "-shm", "-journal")
"""What SQLite puts at the end of a database's name for the files that belong to it."""
_log = logging.getLogger(__name__)


def settle(file: Path, build: Callable[[Path], None]) -> None:
    """Make a database unless it is there; whoever calls this holds a lock.

    Args:
        file: Where it belongs.
        build: Makes it in another place; if it raises, nothing is left behind.
    """
    for left in file.parent.glob(f".{file.name}.*.tmp*"):  # of a process that was killed
        left.unlink()
    if file.exists() and (fault := unusable(file)):
        aside = _set_aside(file)
        _log.warning("the runs' database %s: it was set aside as %s, and a new one is made", fault, aside)
    if file.exists():
        return
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        build(temporary)
        with closing(sqlite3.connect(temporary)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        temporary.chmod(0o600)
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(file)
    finally:
        for ending in BESIDE:
            temporary.with_name(temporary.name + ending).unlink(missing_ok=True)


def unusable(file: Path) -> str:
    """Return why a database cannot be used, or an empty text: it is none, or was left before MLflow had made all of its
    tables, the last of which gets its first row when they are there: that of the default experiment.
    """
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            whole = "experiments" in tables and database.execute("SELECT 1 FROM experiments LIMIT 1").fetchone()
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "unable to open" in str(error):  # it may be whole: let its user say what is wrong
            return ""
        return f"cannot be read ({error})"
    except sqlite3.DatabaseError as error:
        return f"cannot be read ({error})"
    return "" if whole else "was left unfinished"


def _set_aside(file: Path) -> Path:
    """Move a database and what belongs to it to where `purge` finds it: it may name what is to be forgotten."""
    folder = store.home() / "forget" / "damaged" / f"{file.name}-{time.time_ns()}"
    folder.mkdir(mode=0o700, parents=True)
    for ending in BESIDE:
        beside = file.with_name(file.name + ending)
        if beside.exists():
            beside.rename(folder / beside.name)
    return folder
