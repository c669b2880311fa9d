"""Claims: the registry is asked what it has now: a version that was deleted there, or whose model was, is none;
versions come newest first; an alias that points nowhere is none; notes are kept as they are set.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from tasks import tracking
from tasks.tracking_registry import (
    CHECKPOINT,
    aliased,
    find_version,
    note_version,
    set_alias,
    show_on,
    versions,
    versions_with,
)
from tests.stand_ins.databases import give_runs
from tests.stand_ins.removals import made


@pytest.fixture(autouse=True)
def home(lethe_home: Path) -> Path:
    give_runs(lethe_home)
    return lethe_home


def test_what_was_deleted_is_none() -> None:
    assert (find_version("a", 1), versions("a")) == (None, [])
    first, second = made("a", "1" * 64), made("a", "2" * 64)
    assert find_version("a", "1") == first
    tracking.client().delete_model_version("a", "1")
    assert (find_version("a", 1), versions("a")) == (None, [second])
    tracking.client().delete_registered_model("a")
    assert (find_version("a", 2), versions("a")) == (None, [])


def test_another_fault_of_the_registry_is_no_missing_version(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def get_model_version(self, name: str, version: str) -> None:
            raise MlflowException("no rights")

        get_model_version_by_alias = get_model_version

    monkeypatch.setattr("tasks.tracking_registry.client", Refusing)
    with pytest.raises(MlflowException, match="no rights"):
        find_version("a", 1)
    with pytest.raises(MlflowException, match="no rights"):
        aliased("a", "candidate")


def test_versions_come_newest_first_and_are_found_by_a_tag_in_all_models() -> None:
    made("a", "1" * 64)
    made("a", "2" * 64)
    made("b", "1" * 64)
    made("a", "1" * 64)
    assert [one.number for one in versions("a")] == [3, 2, 1]
    assert [(one.name, one.number) for one in versions_with(CHECKPOINT, "1" * 64)] == [("a", 3), ("a", 1), ("b", 1)]
    assert versions_with(CHECKPOINT, "3" * 64) == []


def test_aliases_that_point_nowhere_are_none() -> None:
    assert aliased("a", "candidate") is None
    version = made("a", "1" * 64)
    assert aliased("a", "candidate") is None
    set_alias(version, "candidate")
    assert aliased("a", "candidate") == 1
    tracking.client().delete_model_version("a", "1")
    assert aliased("a", "candidate") is None


def test_notes_are_kept_as_they_are_set() -> None:
    noted = note_version(made("a", "1" * 64, {"x": "old", "y": "stays"}), {"x": "new"}, "In words.")
    kept = tracking.client().get_model_version("a", "1")
    assert dict(kept.tags) == dict(noted.tags) == {CHECKPOINT: "1" * 64, "x": "new", "y": "stays"}
    assert kept.description == "In words."
    assert find_version("a", 1) == noted


def test_a_run_shows_the_model_of_a_version_whatever_run_made_it() -> None:
    made("a", "1" * 64)
    api = tracking.client()
    run = tracking.open_run("whp", {}, {})
    model = api.create_logged_model(api.get_run(run).info.experiment_id, name="unlearned")
    with tracking.as_global_uri():  # by which MLflow looks for the model
        number = tracking.client().create_model_version("a", source=f"models:/{model.model_id}").version
    version = find_version("a", number)
    assert version.model == model.model_id
    show_on(run, version)
    assert [shown.model_id for shown in api.get_run(run).outputs.model_outputs] == [model.model_id]
    files = replace(version, model="")
    show_on(run, files)  # a version of files that no run logged
    assert len(api.get_run(run).outputs.model_outputs) == 1
    tracking.close(run)
