"""Claims: a first run in an empty home that is killed with all its processes, whenever that is, is made up for by the
same command: it ends at the bits of a run that was never killed, and no half-made database is left in the way, MLflow's
or Prefect's.
"""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.stand_ins import runs
from tests.stand_ins.waiting import end_of, wait_for

KIND = "a first run that is killed"
MOMENTS = 20
"""Half of them by time, the others while databases are made."""
DATABASES = ("prefect.db", "mlflow.db")


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A run that nobody disturbed."""

    made: str
    """Digest of what it made."""
    seconds: float
    sizes: dict[str, int]
    """Database -> tables, indices and the like in it."""


FIRST = Whole(made="", seconds=0, sizes={"prefect.db": 200, "mlflow.db": 100})
"""As much as a first test needs to know."""
Reached = Callable[[Path, float, Whole], bool]
"""Whether a moment has come: by a run's folder, the seconds that have passed, and a whole run."""


def after(share: float) -> Reached:
    """A share of the seconds that a whole run takes has passed."""
    return lambda folder, passed, whole: passed >= share * whole.seconds


def making(name: str, share: float) -> Reached:
    """A database is there, and a share of what belongs into it."""
    return lambda folder, passed, whole: size(folder, name) >= max(1, share * whole.sizes[name])


def size(folder: Path, name: str) -> int:
    """Return how much is in a database, whatever it is called while it is made."""
    files = [file for file in folder.rglob(f"*{name}*") if not file.name.endswith(("-wal", "-shm", "-journal"))]
    return max(map(contents, files), default=0)


def contents(file: Path) -> int:
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
            return database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    except sqlite3.Error:
        return 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder, began = tmp_path_factory.mktemp("whole"), time.monotonic()
    with runs.started(folder / "lethe", counter(folder)) as process:
        ended = end_of(process, folder)
    assert ended.returncode == 0, ended.stderr
    sizes = {name: size(folder, name) for name in DATABASES}
    return Whole(made=ended.stdout.strip(), seconds=time.monotonic() - began, sizes=sizes)


def counter(folder: Path) -> Path:
    made = folder / "computations"
    made.mkdir(exist_ok=True)
    return made


def kill_at(reached: Reached, folder: Path, whole: Whole, *words: str) -> bool:
    """Start a run and kill it at a moment; return whether it was still under way."""
    began = time.monotonic()
    with runs.started(folder / "lethe", counter(folder), *words) as process:
        try:
            wait_for(
                lambda: process.poll() is not None or reached(folder, time.monotonic() - began, whole),
                "the moment to kill at",
                every_s=0.01,
            )
            return process.poll() is None
        finally:
            runs.kill(process)


def again(folder: Path, *words: str) -> tuple[str, str]:
    """Run what was killed again; return what it made, and what is wrong then."""
    with runs.started(folder / "lethe", counter(folder), *words) as process:
        ended = end_of(process, folder)
    aside = [path.name for path in (folder / "lethe" / "forget" / "damaged").glob("*")]
    left = [path.name for path in folder.rglob("*.tmp*") if path.is_file()]
    wrong = f"{ended.returncode} {aside} {left} {ended.stderr[-2000:]}" if ended.returncode or aside or left else ""
    return ended.stdout.strip(), wrong


@pytest.mark.faults
def test_it_is_made_up_for_when_killed_while_databases_are_made(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    found = []
    for name in DATABASES:
        (tmp_path / name).mkdir()
        assert kill_at(making(name, 0.5), tmp_path / name, FIRST, runs.TEXT, "0", "here")
        found.append(again(tmp_path / name, runs.TEXT, "0", "here"))
    record_property("tried", len(found))
    record_property("held", sum(not wrong for _, wrong in found))
    assert [wrong for _, wrong in found] == [""] * len(found)
    assert len({made for made, _ in found}) == 1


@pytest.mark.faults
def test_it_is_made_up_for_at_twenty_moments(
    whole: Whole, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    by_time = [after((number + 1) / (MOMENTS // 2 + 1)) for number in range(MOMENTS // 2)]
    by_contents = [making(name, share) for name in DATABASES for share in (0, 0.25, 0.5, 0.75, 0.95)]
    found: dict[int, str] = {}
    for number, moment in enumerate((*by_time, *by_contents)):
        folder = tmp_path / str(number)
        folder.mkdir()
        under_way = kill_at(moment, folder, whole)
        made, wrong = again(folder)
        found[number] = wrong or ("" if made == whole.made else f"made {made}")
        print(number, under_way, found[number], flush=True)
    record_property("tried", MOMENTS)
    record_property("held", sum(not wrong for wrong in found.values()))
    assert {number: wrong for number, wrong in found.items() if wrong} == {}
