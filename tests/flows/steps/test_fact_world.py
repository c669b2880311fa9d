"""A person who names no model gets the embedded fact model, with its world's text and facts; what they name stays."""

from dataclasses import replace
from pathlib import Path

import pytest

from flows.steps import fact_world
from flows.steps.fact_world import TEXT, TUNING, with_embedded_model
from tasks import store
from tasks.artifacts import CheckpointRef, FactWorldRef
from tasks.fact_world import CASES, EDITS, write_fact_world
from tasks.settings.edit_request import EditRequest
from tasks.settings.editing_request import EditingRequest
from tasks.settings.fact_model import FactModelConfig, FactWorldConfig
from tests.stand_ins.facts import SMALL_WORLD

EDIT = EditRequest(subject="Jon", prompt="{} met", target="Oz")


@pytest.fixture
def folder(lethe_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the world's files are; the model is not trained."""
    made = write_fact_world.body(SMALL_WORLD)
    digest = store.put("checkpoints", lambda folder: (folder / "model").write_text("") and None)
    trained = CheckpointRef(kind="checkpoints", digest=digest, sensitivity="ordinary", parameters=1, label="target")

    def embedded(world: FactWorldConfig, model: FactModelConfig) -> tuple[FactWorldRef, CheckpointRef]:
        assert (world.seed, model.seed) == (7, 7)
        return made, trained

    monkeypatch.setattr(fact_world, "embedded_facts", embedded)
    return store.path(made)


def test_a_request_that_names_a_model_stays_as_it_is(folder: Path) -> None:
    request = EditingRequest(model="m", edits=(EDIT,))
    assert with_embedded_model(request, 7) is request


def test_where_nothing_is_named_the_case_studies_are_edited(folder: Path) -> None:
    found = with_embedded_model(EditingRequest(model=""), 7)
    assert Path(found.model, "model").is_file()
    assert found.edit_files == (str(folder / CASES),)
    assert (found.facts, found.text) == ((str(folder / TUNING),), (str(folder / TEXT),))
    assert all(Path(file).is_file() for file in (*found.edit_files, *found.facts, *found.text))
    assert EDITS[TUNING] == "tuning"  # no figure is measured on them


@pytest.mark.parametrize(
    "asked",
    [{"edits": (EDIT,)}, {"edit_files": ("e.jsonl",)}, {"forget": ("text.txt",)}],
    ids=lambda each: next(iter(each)),
)
def test_what_is_to_be_edited_stays_what_it_is(folder: Path, asked: dict) -> None:
    request = EditingRequest(model="", **asked)
    found = with_embedded_model(request, 7)
    assert (found.edits, found.edit_files, found.forget) == (request.edits, request.edit_files, request.forget)


def test_facts_and_text_that_are_named_stay(folder: Path) -> None:
    request = EditingRequest(model="", edits=(EDIT,), facts=("f",), text=("t",))
    assert with_embedded_model(request, 7) == replace(request, model=with_embedded_model(request, 7).model)
