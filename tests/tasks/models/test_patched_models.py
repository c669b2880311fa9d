"""Models that list their patches: taken apart, told from their base, and refused where something does not fit."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tasks import store
from tasks.artifacts import BadInputError, CheckpointRef, EditPatch
from tasks.models.checkpoints import inspect_model
from tasks.models.patched_models import (
    LIST,
    find_base,
    moved,
    read_list,
    require_base,
    taken_apart,
    taken_out,
    write_list,
)
from tasks.models.weights import identify, weights_digest
from tests.stand_ins.patches import as_folder, put_patch, random_update


@dataclass(frozen=True, kw_only=True)
class Given:
    """A base, three patches each computed on those before it, and a model that lists them."""

    base: CheckpointRef
    patches: tuple[EditPatch, ...]
    edited: Path


@pytest.fixture
def given(lethe_home: Path, tmp_path: Path, tiny_gpt2: Any, tiny_tokenizer: Any) -> Given:
    base = as_folder(tiny_gpt2(0), tiny_tokenizer, tmp_path / "base")
    patches: tuple[EditPatch, ...] = ()
    for seed in (1, 2, 3):
        patches = (*patches, put_patch(base, random_update(seed), on=patches))
    edited = Path(as_folder(tiny_gpt2(1), tiny_tokenizer, tmp_path / "edited").location)
    write_list(edited, patches)
    return Given(base=base, patches=patches, edited=edited)


def test_a_model_knows_its_base_and_its_patches(given: Given) -> None:
    found = taken_apart(str(given.edited))
    assert found.patches == given.patches
    assert found.base.location == given.base.location
    alone = taken_apart(given.base.location)
    assert (alone.base.digest, alone.patches) == (given.base.digest, ())


def test_the_list_is_no_part_of_what_a_model_says(given: Given) -> None:
    before = inspect_model(str(given.edited), "target").digest
    (given.edited / LIST).unlink()
    assert inspect_model(str(given.edited), "target").digest == before


def test_a_patch_is_taken_out_by_name(given: Given, tmp_path: Path) -> None:
    found, (first, second, third) = taken_apart(str(given.edited)), given.patches
    assert taken_out(found, [second.digest[:8]]) == (first, third)
    folder = shutil.copytree(store.path(third), tmp_path / "third")
    assert taken_out(found, [str(folder), first.digest]) == (second,)
    other = put_patch(given.base, random_update(9))
    with pytest.raises(BadInputError, match=f"{other.digest[:16]} is not in the model; wanted .*{first.digest[:16]}"):
        taken_out(found, [other.digest])


def test_what_stands_on_other_patches_is_told(given: Given) -> None:
    first, second, third = given.patches
    assert moved(given.patches) == {}
    assert moved((first, third)) == {third.digest: (first.digest,)}
    assert moved((second, first)) == {second.digest: (), first.digest: (second.digest,)}


def test_a_patch_of_another_base_is_refused_with_both_digests(given: Given, tmp_path: Path) -> None:
    other = shutil.copytree(given.base.location, tmp_path / "other")
    tensors = load_file(other / "model.safetensors")
    save_file({name: value + 1e-3 for name, value in tensors.items()}, other / "model.safetensors", {"format": "pt"})
    record = inspect_model(str(other), "target")
    ours, theirs = given.patches[0].base, weights_digest(record)
    with pytest.raises(BadInputError, match=f"belongs to weights {ours[:16]}; .*other has {theirs[:16]}"):
        require_base(record, given.patches)
    with pytest.raises(BadInputError, match="which has patches already: they are added to by `stack`"):
        require_base(inspect_model(str(given.edited), "target"), given.patches)
    with pytest.raises(BadInputError, match=f"{given.patches[1].digest[:16]} comes twice"):
        require_base(given.base, (*given.patches, given.patches[1]))
    require_base(given.base, given.patches)


def test_a_base_is_found_where_it_was_last_seen_or_where_it_is_said_to_be(given: Given, tmp_path: Path) -> None:
    digest = identify(given.base)
    assert find_base(digest).digest == given.base.digest
    place = shutil.move(given.base.location, tmp_path / "moved")
    with pytest.raises(BadInputError, match=rf"{digest[:16]}: .*base, where it was last seen, is not there; .*--base"):
        find_base(digest)
    assert find_base(digest, str(place)).location == str(place)
    with pytest.raises(BadInputError, match=r"edited has the weights"):
        find_base(digest, str(given.edited))
    shutil.copytree(given.edited, given.base.location)
    with pytest.raises(BadInputError, match=r"base has the weights"):
        find_base(digest)
    with pytest.raises(BadInputError, match="it was never seen here"):
        find_base("0" * 64)


def of_another_schema(folder: Path) -> None:
    (folder / LIST).write_text(json.dumps({"schema": "other"}))


def with_a_number(folder: Path) -> None:
    (folder / LIST).write_text(json.dumps(json.loads((folder / LIST).read_text()) | {"patches": [3]}))


def trained_on(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["transformer.ln_f.bias"] += torch.ones(())
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_another_schema, "lists no patches; wanted schema"),
        (lambda folder: (folder / LIST).write_text("[" * 100_000), "lists no patches; wanted schema"),
        (with_a_number, "lists no patches; wanted schema"),
        (trained_on, "are not those that its patches gave"),
    ],
)
def test_a_model_that_is_not_what_its_list_says_is_refused(
    given: Given, change: Callable[[Path], None], message: str
) -> None:
    read_list(given.edited)
    change(given.edited)
    with pytest.raises(BadInputError, match=message):
        taken_apart(str(given.edited))
