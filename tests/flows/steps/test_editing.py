"""A request to edit is read once before anything is computed, and what cannot be edited is refused by what is wrong."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.steps.editing import check_editable, check_editing, told_of
from tasks import store
from tasks.artifacts import BadInputError
from tasks.models.weights import weights_digest
from tasks.patches import apply_patches
from tasks.settings.edit_request import EditRequest
from tasks.settings.editing_request import EditingRequest
from tasks.settings.rank_one_editing import EditConfig, RankOneEditingConfig
from tests.stand_ins.patches import as_folder, put_patch, random_update

CONFIG = RankOneEditingConfig()
EDIT = EditRequest(subject="Jon", prompt="{} met", target="Oz")


@pytest.fixture
def model(lethe_home: Path, tmp_path: Path, tiny_gpt2: Any, tiny_tokenizer: Any) -> Any:
    return as_folder(tiny_gpt2(1), tiny_tokenizer, tmp_path / "model")


def request(model: Any, **changes: Any) -> EditingRequest:
    return EditingRequest(**{"model": model.location, "edits": (EDIT,)} | changes)


def test_edits_come_as_they_are_and_from_files(model: Any, tmp_path: Path) -> None:
    rows = [
        {"subject": "Alice", "prompt": "{} met", "target": "Tom"},
        {"subject": "Tom", "prompt": "{} met", "target": "Oz"},
    ]
    file = tmp_path / "edits.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    facts = tmp_path / "facts.jsonl"
    facts.write_text(json.dumps({"subject": "Toto", "prompt": "{} met", "object": "Oz"}))
    checked = check_editing(request(model, edit_files=(str(file),), facts=(str(facts),)), CONFIG)
    assert [each.subject for each in checked.edits] == ["Jon", "Alice", "Tom"]
    assert [each.subject for each in checked.facts] == ["Toto"]
    assert weights_digest(checked.target) == weights_digest(model)
    assert checked.benchmarks is None
    told = told_of("rome", "arXiv:1", checked, CONFIG)
    target = checked.target.digest
    assert told.params == {"request": {"edits": 3, "facts": 1, "patches": 0}, "target": target[:16], "text": {}}
    assert (told.model, told.config) == (target, CONFIG)


def test_erased_edits_get_objects_that_say_nothing(model: Any) -> None:
    (edit,) = check_editing(request(model, erase=True), CONFIG).edits
    assert edit.target in CONFIG.proposals.erased and edit.subject == "Jon"


def test_patches_on_the_model_come_before_those_that_are_named(model: Any, tmp_path: Path) -> None:
    first = put_patch(model, random_update(1))
    second = put_patch(model, random_update(2), on=(first,))
    patched = apply_patches.body(model, (first,), "edited")
    asked = replace(request(model, patches=(second.digest,)), model=str(store.path(patched)))
    checked = check_editing(asked, CONFIG)
    assert [patch.digest for patch in checked.patches] == [first.digest, second.digest]
    assert weights_digest(checked.target) == weights_digest(model)


def test_a_patch_of_another_base_is_refused(model: Any, tmp_path: Path, tiny_gpt2: Any, tiny_tokenizer: Any) -> None:
    other = as_folder(tiny_gpt2(5), tiny_tokenizer, tmp_path / "other")
    with pytest.raises(BadInputError, match="belongs to weights"):
        check_editing(request(model, patches=(put_patch(other, random_update(1)).digest,)), CONFIG)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"edits": ()}, r"there is nothing to edit; wanted text with facts, --edits FILE"),
        ({"forget": ("text.txt",)}, r"edits come from the text's facts, or as they are given; wanted one of both"),
        ({"edits": (EDIT, EditRequest(subject="Jon", prompt="{} met", target="Tom"))}, r"Oz.*Tom"),
        ({"edits": (EditRequest(subject="Jon", prompt="{} met", target="Toto " * 30),)}, r"20"),
    ],
)
def test_what_cannot_be_edited_is_refused(model: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        check_editing(request(model, **changes), CONFIG)


def test_edits_that_contradict_each_other_may_each_stand_alone(model: Any) -> None:
    edits = (EDIT, EditRequest(subject="Jon", prompt="{} met", target="Tom"))
    assert len(check_editing(request(model, edits=edits, each=True), CONFIG).edits) == 2


def test_an_adapter_and_an_unknown_type_are_refused(model: Any, tmp_path: Path) -> None:
    folder = Path(model.location)
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"model_type": "mamba"}))
    with pytest.raises(BadInputError, match=r"--model .*'mamba' cannot be edited; wanted one of"):
        check_editable(str(folder))


def test_an_editor_without_patches_makes_single_edits_alone(model: Any) -> None:
    config = RankOneEditingConfig(edit=EditConfig(algorithm="ft"))
    with pytest.raises(BadInputError, match=r"edit\.algorithm is ft.* or lethe edit --each"):
        check_editing(request(model), config)
    assert check_editing(request(model, each=True), config).edits
