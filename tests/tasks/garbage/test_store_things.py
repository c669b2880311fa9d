"""Claims: caches, states and leftovers of a store are found with their sizes and their last use; results, keys and
databases never are; a model and a patch need the base that they name, also by the digest of its weights; what comes to
be used after it was found stays, and so does the state of a stage that is under way.
"""

import json
import os
import time
from pathlib import Path

import pytest

from tasks import store
from tasks.artifacts import Artifact
from tasks.execution import upkeep
from tasks.garbage import store_things
from tasks.garbage.store_things import FAILURES, UNFINISHED, WORK, delete, records, resolved, run_of_work
from tasks.garbage.things import Thing

WEIGHTS = "c" * 64


def put(kind: str, text: str = "x", name: str = "file.txt", sensitivity: str = "ordinary") -> Path:
    digest = store.put(kind, lambda folder: (folder / name).write_text(text) and None, sensitivity=sensitivity)
    return store.path(Artifact(kind=kind, digest=digest, sensitivity=sensitivity))


def age(place: Path, seconds: float = 1000.0) -> None:
    then = time.time() - seconds
    for path in (place, *place.rglob("*")):
        os.utime(path, (then, then))


def found() -> dict[str, Thing]:
    return {thing.name: thing for thing in store_things.store_things()}


def test_caches_states_and_leftovers_are_found_and_nothing_else_is(
    lethe_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_LOCAL_STORAGE_PATH")
    for kind in ("reports", "scorecards", "evidence", "corpora", "requests", "edit_runs"):
        put(kind, sensitivity="forget")
    model, probes = put("checkpoints", "four"), put("probes", sensitivity="forget")
    store.growing("answers")
    (store.workspace("finetune-1") / "state").write_text("12345")
    for place in ("keys/.a.tmp", "keys/.damaged/x", "probes/.damaged/b-1", "forget/damaged/mlflow.db-1"):
        (lethe_home / place).mkdir(parents=True)
    (lethe_home / "forget" / "probes" / ".elsewhere-1-2.3.tmp").mkdir()
    (lethe_home / "results").mkdir()
    (lethe_home / "results" / ("e" * 32)).write_text("{}")
    things = found()
    assert {name: thing.kind for name, thing in things.items()} == {
        model.name: "checkpoints",
        probes.name: "probe records",
        "finetune-1": WORK,
        "probes/.damaged/b-1": UNFINISHED,
        "forget/damaged/mlflow.db-1": UNFINISHED,
        "forget/probes/.elsewhere-1-2.3.tmp": UNFINISHED,
        "e" * 32: FAILURES,
    }
    assert things["finetune-1"].bytes == 5
    assert things[model.name].bytes == upkeep.size(model) > 4


def test_whatever_reads_an_artifact_uses_it(lethe_home: Path) -> None:
    model = put("checkpoints")
    age(model)
    assert found()[model.name].used < time.time() - 900
    store.path(Artifact(kind="checkpoints", digest=model.name, sensitivity="ordinary"))
    assert found()[model.name].used > time.time() - 900


def test_a_model_and_a_patch_need_their_bases_by_any_digest(lethe_home: Path) -> None:
    base, other = put("checkpoints", "base"), put("checkpoints", "another")
    store.note_place(WEIGHTS, str(base))
    adapter = put("checkpoints", json.dumps({"digest": other.name}), "base.json")
    patch = put("patches", json.dumps({"base": WEIGHTS}), "patch.json", "forget")
    things = found()
    assert other.name in things[adapter.name].needs
    assert base.name in things[patch.name].needs
    assert things[patch.name].reason
    assert not things[patch.name].place
    assert resolved({WEIGHTS}) == {WEIGHTS, base.name}


def test_a_model_that_was_given_by_its_folder_in_the_store_was_used_then(lethe_home: Path) -> None:
    model = put("checkpoints")
    age(model)
    store.note_place(WEIGHTS, str(model))
    assert found()[model.name].used > time.time() - 900


def test_an_artifact_of_both_classes_is_kept_or_goes_as_one(lethe_home: Path) -> None:
    open_one, secret = put("checkpoints"), put("checkpoints", sensitivity="forget")
    things = found()
    assert open_one.name == secret.name
    assert things[f"{secret.name} twice"].place == str(secret)
    assert f"{secret.name} twice" in things[open_one.name].needs


def test_the_state_of_a_stage_under_way_stays(lethe_home: Path) -> None:
    state = store.workspace("finetune-1")
    (state / "run.json").write_text(json.dumps({"run": "a" * 32}))
    assert (run_of_work("finetune-1"), run_of_work("none")) == ("a" * 32, "")
    (abandoned,) = found().values()
    later = time.time() + 10
    with store.lock("finetune-1"):
        assert found()["finetune-1"].reason
        assert not delete(abandoned, later)
    assert not found()["finetune-1"].reason
    assert delete(abandoned, later)
    assert not delete(abandoned, later)
    assert not state.exists()


def test_what_was_used_after_it_was_found_stays(lethe_home: Path) -> None:
    model = put("checkpoints")
    age(model)
    thing, since = found()[model.name], time.time() - 500
    store.path(Artifact(kind="checkpoints", digest=model.name, sensitivity="ordinary"))
    assert not delete(thing, since)
    age(model)
    assert delete(thing, since)
    assert list((lethe_home / "checkpoints").iterdir()) == []


def test_records_tell_the_artifacts_that_they_name_and_who_made_them(
    lethe_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lethe_home / "elsewhere"
    monkeypatch.setenv("PREFECT_LOCAL_STORAGE_PATH", str(folder))
    folder.mkdir(parents=True)
    result = {"data": {"digest": "d" * 64, "origin": "b" * 32}}
    (folder / "finetune-1").write_text(json.dumps({"result": json.dumps(result)}))
    (folder / "numbers-2").write_text(json.dumps({"result": "{}"}))
    (record,) = records()
    assert (record.file.name, record.digests, record.origins) == ("finetune-1", {"d" * 64}, {"b" * 32})
