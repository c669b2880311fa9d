"""Claims, over a store, a real MLflow database and notes of Prefect: what a version, a patch, a request or a run under
way needs is never deleted, nor by a copy what the original has in Prefect; a dry run finds the same and deletes
nothing; a second gc deletes nothing; records of what goes go, and nothing of a run that goes is left in MLflow; every
kept run's disk is told; where a server is gone, nothing is deleted.
"""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from flows.steps import garbage
from flows.steps.garbage import collect, kept_runs, take_stock
from tasks import store, tracking
from tasks.artifacts import Artifact, BadInputError, CheckpointRef
from tasks.execution import upkeep
from tasks.removals import states
from tests.stand_ins.databases import give_runs
from tests.stand_ins.removals import made, received
from tests.stand_ins.servers import free_port

WEIGHTS = "c" * 64


@pytest.fixture
def home(lethe_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    give_runs(lethe_home)
    monkeypatch.setenv("PREFECT_LOCAL_STORAGE_PATH", str(lethe_home / "results"))
    (lethe_home / "results").mkdir()
    for folder in ("keys", "flow-runs"):
        (lethe_home / folder).mkdir()
    (lethe_home / "keys" / "evidence.key").write_text("a key")
    (lethe_home / "flow-runs" / "11-22").write_text(
        json.dumps({"server": f"sqlite:///{tmp_path}/none.db", "store": lethe_home.stat().st_ino})
    )
    return lethe_home


def checkpoint(text: str, run: str = "", name: str = "model.safetensors") -> CheckpointRef:
    """Put a model and, of one that a run made, the cache's record."""
    digest = store.put("checkpoints", lambda folder: (folder / name).write_text(text) and None)
    if run:
        result = json.dumps({"data": {"digest": digest, "origin": run}})
        (store.home() / "results" / f"finetune-{text}").write_text(json.dumps({"result": result}))
    return CheckpointRef(kind="checkpoints", digest=digest, sensitivity="ordinary", parameters=1, label="unlearned")


def ended(name: str, work: Callable[[str], CheckpointRef]) -> tuple[str, CheckpointRef]:
    """A run with one stage, which logs a file and makes a model."""
    run = tracking.open_run(name, {}, {})
    with tracking.stage_run(run, "finetune") as nested, store.scratch() as folder:
        (folder / "card.json").write_text("0123456789")
        tracking.log_artifact(nested, folder / "card.json", "public")
        found = work(nested)
    tracking.close(run)
    return run, found


def there(model: CheckpointRef) -> bool:
    return (store.home() / "checkpoints" / model.digest).is_dir()


def runs_in(home: Path) -> set[str]:
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        names = {name for (name,) in database.execute("select name from runs")}
        tagged = {run for (run,) in database.execute("select run_uuid from tags")}
        assert len(tagged) == database.execute("select count(*) from runs").fetchone()[0]
    return names


def test_what_is_needed_stays_and_all_else_goes_once(home: Path, tmp_path: Path) -> None:
    first, forgot = ended("kept", lambda run: checkpoint("forgot", run))
    second, old = ended("old", lambda run: checkpoint("old", run))
    made("lethe-1", forgot.digest, {"lethe.report": f"runs:/{first}/report/report-redacted.html"})
    base, asked, dropped = (checkpoint(text) for text in ("base", "asked", "dropped"))
    store.note_place(WEIGHTS, str(store.path(base)))
    patch = store.put(
        "patches",
        lambda folder: (folder / "patch.json").write_text(json.dumps({"base": WEIGHTS})) and None,
        sensitivity="forget",
    )
    received(tmp_path, "one", asked)
    states.cancel(received(tmp_path, "two", dropped).id)
    (store.workspace("finetune-old") / "state").write_text("state")

    before = sorted(home.rglob("*"))
    stock, again = take_stock(0), take_stock(0)
    names = [thing.name for thing in stock.garbage]
    assert names == [thing.name for thing in again.garbage]
    assert [path for path in before if not path.exists()] == []
    assert {"finetune-old", old.digest, dropped.digest, "11-22", second} <= set(names)
    told = {run.name: run for run in kept_runs(stock)}
    size = upkeep.size(home / "checkpoints" / forgot.digest)
    assert (told["kept"].store_bytes, told["kept"].mlflow_bytes, told["kept"].reason) == (size, 10, "lethe-1 version 1")

    went, unreached = collect(stock)
    assert ([thing.name for thing in went], unreached) == (names, ())
    assert [there(model) for model in (forgot, base, asked, old, dropped)] == [True, True, True, False, False]
    assert store.intact(Artifact(kind="patches", digest=patch, sensitivity="forget"))
    assert {"kept", "finetune", "R-0001", "R-0002"} == runs_in(home)
    assert sorted(file.name for file in (home / "results").iterdir()) == ["finetune-forgot"]
    assert (home / "keys" / "evidence.key").read_text() == "a key"
    assert list((home / "flow-runs").iterdir()) == list((home / "forget" / "work").iterdir()) == []
    assert len(list((home / "mlflow-artifacts").rglob("card.json"))) == 1

    store.path(forgot)
    assert take_stock(0).garbage == []


def test_a_run_under_way_keeps_what_was_there_when_it_began_and_age_what_is_young(home: Path) -> None:
    old = checkpoint("old")
    run = tracking.open_run("under way", {}, {"lethe.prefect_flow_run": "11-22"})
    assert take_stock(0).garbage == []
    tracking.close(run)
    assert take_stock(1).garbage == []
    names = {thing.name for thing in take_stock(0).garbage}
    assert {old.digest, run, "11-22"} <= names


def test_a_copy_lets_the_originals_flow_runs_and_its_run_under_way_alone(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tracking.open_run("under way", {}, {})
    shutil.copytree(home, tmp_path / "copy")
    monkeypatch.setenv("LETHE_HOME", str(tmp_path / "copy"))
    stock = take_stock(0)
    assert [row.is_held for row in stock.rows] == [True]
    assert garbage.FLOW_RUNS not in {thing.kind for thing in stock.things}
    monkeypatch.setenv("LETHE_HOME", str(home))
    tracking.close(run)


def test_runs_that_somebody_deleted_go_for_good_with_their_models(home: Path) -> None:
    run, _ = ended("deleted", lambda run: checkpoint("old", run))
    api = tracking.client()
    model = api.create_logged_model(api.get_run(run).info.experiment_id, source_run_id=run)
    api.delete_run(run)
    collect(take_stock(0))
    assert runs_in(home) == set()
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        assert database.execute("select count(*) from logged_models").fetchone()[0] == 0
    assert not Path(model.artifact_location).exists()


def test_where_a_server_is_gone_nothing_is_deleted(home: Path) -> None:
    with (home / "servers").open("a") as file:
        file.write(f"http://127.0.0.1:{free_port()}\n")
    checkpoint("old")
    with pytest.raises(BadInputError, match=r"cannot be asked.*nothing is deleted; wanted it up, or"):
        take_stock(0)


def test_a_look_makes_no_register_where_there_is_none(home: Path) -> None:
    take_stock(0)
    assert tracking.client().get_experiment_by_name(garbage.tracking_requests.EXPERIMENT) is None
