"""Claims: a database of runs is there as a whole or not at all, whenever its maker is killed; one left unfinished,
or is none, is set aside where purge finds it; a whole one is left alone, whatever is in use of it; addresses of
artifacts are moved with the store, and no others.
"""

import multiprocessing
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tasks import store
from tasks.execution import run_database

STATEMENTS = (
    "CREATE TABLE runs (id INTEGER)",
    "CREATE TABLE experiments (id INTEGER)",
    "CREATE TABLE alembic_version (version_num TEXT)",
    "INSERT INTO alembic_version VALUES ('1')",
    "INSERT INTO experiments VALUES (0)",
)


def build(file: Path, count: int = len(STATEMENTS)) -> None:
    with closing(sqlite3.connect(file)) as database:
        for statement in STATEMENTS[:count]:
            database.execute(statement)
            database.commit()


def rows(file: Path) -> list[tuple]:
    with closing(sqlite3.connect(file)) as database:
        return database.execute("SELECT * FROM experiments").fetchall()


def aside() -> list[str]:
    return sorted(path.name for path in (store.home() / "forget" / "damaged").glob("*/*"))


def _settle_and_die(file: Path, count: int) -> None:
    def killed(temporary: Path) -> None:
        build(temporary, count)
        os._exit(9)

    run_database.settle(file, killed)


@pytest.mark.parametrize("count", range(len(STATEMENTS) + 1))
def test_whoever_is_killed_while_making_it_leaves_nothing_in_the_way(count: int, lethe_home: Path) -> None:
    file = store.home() / "mlflow.db"
    process = multiprocessing.get_context("fork").Process(target=_settle_and_die, args=(file, count))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert not file.exists()
    run_database.settle(file, build)
    assert rows(file) == [(0,)]
    assert not list(lethe_home.glob(".mlflow.db*"))
    assert file.stat().st_mode & 0o077 == 0


def test_a_full_disk_leaves_nothing_in_the_way(lethe_home: Path) -> None:
    file = store.home() / "mlflow.db"

    def full(temporary: Path) -> None:
        build(temporary, 2)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        run_database.settle(file, full)
    assert not list(lethe_home.glob("*mlflow.db*"))


@pytest.mark.parametrize("count", range(1, len(STATEMENTS)))
def test_one_that_was_left_unfinished_is_set_aside_where_purge_finds_it(
    count: int, lethe_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = store.home() / "mlflow.db"
    build(file, count)
    run_database.settle(file, build)
    assert rows(file) == [(0,)]
    assert aside() == ["mlflow.db"]
    assert "was left unfinished" in caplog.text
    store.purge()
    assert not aside()


@pytest.mark.parametrize("content", [b"", b"not a database at all, and long enough to be read as one" * 20])
def test_what_is_no_database_is_set_aside(content: bytes, lethe_home: Path) -> None:
    file = store.home() / "mlflow.db"
    file.write_bytes(content)
    run_database.settle(file, build)
    assert rows(file) == [(0,)]
    assert aside() == ["mlflow.db"]


def test_a_whole_one_is_left_alone_while_others_write_to_it(lethe_home: Path) -> None:
    file = store.home() / "mlflow.db"
    build(file)
    with closing(sqlite3.connect(file)) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO runs VALUES (1)")
        run_database.settle(file, pytest.fail)
        other.commit()
    with closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN EXCLUSIVE")
        run_database.settle(file, pytest.fail)
    assert not aside()


PLACES = {
    "experiments": ("name", "artifact_location"),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("storage_location", "source"),
}


def places(file: Path, **rows: list[tuple[str, ...]]) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        for table, columns in PLACES.items():
            database.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
            marks = ", ".join("?" * len(columns))
            insert = f"INSERT INTO {table} VALUES ({marks})"  # noqa: S608 - names of the test's own
            database.executemany(insert, rows.get(table, []))


def found(file: Path) -> dict[str, list[tuple[str, ...]]]:
    asked = {table: f"SELECT {', '.join(columns)} FROM {table}" for table, columns in PLACES.items()}  # noqa: S608
    with closing(sqlite3.connect(file)) as database:
        return {table: database.execute(statement).fetchall() for table, statement in asked.items()}


@pytest.mark.parametrize(
    ("before", "inside", "root", "after"),
    [
        ("file:///old/artifacts", "file:///old/artifacts/", "file:///new%20place/a", "file:///new%20place/a/"),
        ("file:///old/artifacts/", "file:///old/artifacts/", "file:///new/a", "file:///new/a/"),
        ("file:///old/artifacts", "file:///old/artifacts/", "mlflow-artifacts:/", "mlflow-artifacts:/"),
        ("mlflow-artifacts:/", "mlflow-artifacts:/", "file:///new/a", "file:///new/a/"),
    ],
)
def test_addresses_below_the_old_root_are_moved_and_no_others(
    before: str, inside: str, root: str, after: str, tmp_path: Path
) -> None:
    rows = {
        "experiments": [("lethe", before), ("other", "file:///old/artifacts-of-others")],
        "runs": [(f"{inside}r1/artifacts",), ("s3://bucket/r2/artifacts",), ("file:///old/artifacts2/r3",)],
        "logged_models": [(f"{inside}models/m-1/artifacts",)],
        "model_versions": [(f"{inside}models/m-1/artifacts", "models:/m-1"), (None, f"{inside}r1/artifacts/model")],
    }
    places(tmp_path / "runs.db", **rows)
    for _ in range(2):  # again nothing is to be done
        run_database.anchor(tmp_path / "runs.db", "lethe", root)
        assert found(tmp_path / "runs.db") == {
            "experiments": [("lethe", root), ("other", "file:///old/artifacts-of-others")],
            "runs": [(f"{after}r1/artifacts",), ("s3://bucket/r2/artifacts",), ("file:///old/artifacts2/r3",)],
            "logged_models": [(f"{after}models/m-1/artifacts",)],
            "model_versions": [(f"{after}models/m-1/artifacts", "models:/m-1"), (None, f"{after}r1/artifacts/model")],
        }


def test_artifacts_that_a_server_kept_by_experiment_stay_so(tmp_path: Path) -> None:
    places(tmp_path / "runs.db", experiments=[("lethe", "mlflow-artifacts:/1")], runs=[("mlflow-artifacts:/1/r",)])
    run_database.anchor(tmp_path / "runs.db", "lethe", "file:///new")
    assert found(tmp_path / "runs.db")["experiments"] == [("lethe", "file:///new/1")]
    assert found(tmp_path / "runs.db")["runs"] == [("file:///new/1/r",)]


def test_without_our_experiment_nothing_is_moved(tmp_path: Path) -> None:
    places(tmp_path / "runs.db", runs=[("file:///old/r",)])
    run_database.anchor(tmp_path / "runs.db", "lethe", "file:///new")
    assert found(tmp_path / "runs.db")["runs"] == [("file:///old/r",)]
