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
WAIT_S = 60.0
"""Seconds that a database has to become free."""
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


ARTIFACTS = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("storage_location", "source"),
}
"""Table -> columns with addresses of artifacts, which are absolute."""


def anchor(file: Path, experiment: str, root: str) -> None:
    """Let the addresses of all artifacts begin where they lie now: a store that was moved has those of its old place,
    and a copy those of the original, which it would write to and purge. Whoever calls this holds a lock.

    Args:
        file: A database.
        experiment: Name of the experiment whose artifacts lie under the root that all of ours lie under.
        root: Address of the folder.
    """
    with closing(sqlite3.connect(file, timeout=WAIT_S)) as database, database:
        found = database.execute("SELECT artifact_location FROM experiments WHERE name = ?", (experiment,)).fetchone()
        # of a server that keeps artifacts itself, what follows is a folder
        before = found and ("mlflow-artifacts:/" if found[0].startswith("mlflow-artifacts:") else found[0])
        if not before or before == root:
            return
        for table, columns in ARTIFACTS.items():
            for column in columns:
                _replace_start(database, table, column, before, root)


def _replace_start(database: sqlite3.Connection, table: str, column: str, before: str, root: str) -> None:
    """Give values of a column that begin with an address, or are it, another beginning."""
    folder, to = before.rstrip("/"), root.rstrip("/")
    whole, inside = (before, folder), f"{folder}/"
    database.execute(
        f"UPDATE {table} SET {column} = ? WHERE {column} IN (?, ?)",  # noqa: S608 - names of our own
        (root, *whole),
    )
    database.execute(
        f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",  # noqa: S608
        (f"{to}/", len(inside) + 1, len(inside), inside),
    )


def _set_aside(file: Path) -> Path:
    """Move a database and what belongs to it to where `purge` finds it: it may name what is to be forgotten."""
    folder = store.home() / "forget" / "damaged" / f"{file.name}-{time.time_ns()}"
    folder.mkdir(mode=0o700, parents=True)
    for ending in BESIDE:
        beside = file.with_name(file.name + ending)
        if beside.exists():
            beside.rename(folder / beside.name)
    return folder
