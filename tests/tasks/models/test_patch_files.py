"""Patches on disk: written, read, named, taken in, and refused in plain words."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tasks import store
from tasks.algorithms.editing.rome import Update
from tasks.artifacts import BadInputError, CheckpointRef, EditPatch
from tasks.models.patch_files import open_patch, read_about, read_edits, read_updates, write_patch
from tasks.models.weights import weights_digest
from tests.stand_ins.patches import as_folder, put_patch, random_update


@pytest.fixture
def base(lethe_home: Path, tmp_path: Path, tiny_gpt2: Any, tiny_tokenizer: Any) -> CheckpointRef:
    """A tiny model's folder."""
    return as_folder(tiny_gpt2(0), tiny_tokenizer, tmp_path / "base")


def copied(patch: EditPatch, folder: Path) -> Path:
    """Return a copy of a patch's folder as a user has it."""
    return Path(shutil.copytree(store.path(patch), folder, ignore=shutil.ignore_patterns(store.MANIFEST)))


def test_a_patch_reads_as_it_was_written(base: CheckpointRef) -> None:
    first = put_patch(base, random_update(1))
    updates = [random_update(2, 1, 2), random_update(3, 0), random_update(4, 1)]
    patch = put_patch(base, *updates, on=(first,), edits=3)
    assert (patch.kind, patch.sensitivity) == ("patches", "forget")
    assert (patch.base, patch.computed_on) == (weights_digest(base), (first.digest,))
    assert (patch.layers, patch.rank, patch.edits) == ((0, 1), 3, 3)
    low, high = read_updates(patch)
    assert torch.equal(low.left, updates[1].left)
    assert torch.equal(low.right, updates[1].right)
    torch.testing.assert_close(
        high.left @ high.right.T, updates[0].left @ updates[0].right.T + updates[2].left @ updates[2].right.T
    )
    about = read_about(patch)
    assert (about["model_type"], about["settings"]) == ("gpt2", "f00d")
    assert [entry["norm"] for entry in about["layers"]] == pytest.approx([low.norm, high.norm], rel=1e-4)
    assert [edit["subject"] for edit in read_edits(store.path(patch))] == ["Velmora 0", "Velmora 1", "Velmora 2"]


def test_a_patch_of_gpt2_small_takes_less_than_a_megabyte_an_edit_and_layer(base: CheckpointRef) -> None:
    patch = put_patch(base, random_update(1, 5, 1, (768, 3072)))
    assert sum(file.stat().st_size for file in store.path(patch).iterdir()) < 50_000


def test_the_same_patch_has_the_same_digest_wherever_it_lies(base: CheckpointRef, tmp_path: Path) -> None:
    patch = put_patch(base, random_update(1))
    assert put_patch(base, random_update(1)) == patch
    assert put_patch(base, random_update(2)).digest != patch.digest
    folder = copied(patch, tmp_path / "mine")
    (folder / "notes.txt").write_text("of the user's own")
    assert open_patch(str(folder)) == patch == open_patch(patch.digest[:6]) == open_patch(patch.digest)


def test_a_purged_patch_is_found_where_its_user_keeps_it(base: CheckpointRef, tmp_path: Path) -> None:
    patch = put_patch(base, random_update(1))
    folder = copied(patch, tmp_path / "mine")
    open_patch(str(folder))
    store.purge()
    assert store.find("patches", patch.digest) is None
    assert open_patch(patch.digest) == patch
    assert torch.equal(read_updates(patch)[0].left, random_update(1).left)
    store.purge()
    shutil.rmtree(folder)
    with pytest.raises(BadInputError, match=f"{re.escape(str(folder))}, where it was last seen, has it no more"):
        open_patch(patch.digest)


def test_a_name_of_no_patch_or_of_two_is_refused(base: CheckpointRef, monkeypatch: pytest.MonkeyPatch) -> None:
    patch = put_patch(base, random_update(1))
    for name in ("nowhere", patch.digest[:3], "0" * 64):
        with pytest.raises(BadInputError, match=f"patch {name}: there is no such folder, and the store has none"):
            open_patch(name)
    monkeypatch.setattr(store, "digests", lambda kind, prefix: [f"{prefix}1", f"{prefix}2"])
    with pytest.raises(BadInputError, match="2 in the store begin so; wanted more letters"):
        open_patch("abcd")


def without_tensors(folder: Path) -> None:
    (folder / "patch.safetensors").unlink()


def of_another_schema(folder: Path) -> None:
    (folder / "patch.json").write_text(json.dumps({"schema": "other"}))


def with_a_list(folder: Path) -> None:
    (folder / "patch.json").write_text("[]")


def without_layers(folder: Path) -> None:
    about = json.loads((folder / "patch.json").read_text())
    (folder / "patch.json").write_text(json.dumps(about | {"layers": []}))


def with_another_table(folder: Path) -> None:
    (folder / "edits.jsonl").write_text("")


def with_a_number_as_base(folder: Path) -> None:
    about = json.loads((folder / "patch.json").read_text())
    (folder / "patch.json").write_text(json.dumps(about | {"base": 3}))


def with_vectors(folder: Path) -> None:
    tensors = load_file(folder / "patch.safetensors")
    save_file({name: tensor[:, 0].contiguous() for name, tensor in tensors.items()}, folder / "patch.safetensors")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "patch.json").write_text("[" * 100_000), "patch.json is nested too deeply"),
        (with_a_number_as_base, "does not describe a patch"),
        (lambda folder: (folder / "edits.jsonl").write_text("[3]\n"), "edit 1 is none; wanted the edits of the patch"),
        (lambda folder: (folder / "edits.jsonl").write_text("[" * 100_000), "does not describe a patch"),
        (lambda folder: (folder / "patch.safetensors").write_bytes(b"\xff" * 40), "patch.safetensors is damaged"),
        (with_vectors, "layer 0: wanted U and V, two matrices in float32 of one rank"),
        (without_tensors, "is no patch: no patch.safetensors there; wanted patch.safetensors, patch.json"),
        (of_another_schema, "does not describe a patch; wanted schema lethe.patch.v1"),
        (with_a_list, "patch.json holds a list; wanted a JSON object"),
        (without_layers, "does not describe a patch"),
        (with_another_table, "as many edits as edits.jsonl has"),
    ],
)
def test_a_folder_that_is_no_patch_is_refused(
    base: CheckpointRef, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    folder = copied(put_patch(base, random_update(1)), tmp_path / "mine")
    damage(folder)
    with pytest.raises(BadInputError, match=message):
        open_patch(str(folder))


def test_tensors_that_are_not_the_patchs_are_refused(base: CheckpointRef, tmp_path: Path) -> None:
    folder = copied(put_patch(base, random_update(1)), tmp_path / "mine")
    about = json.loads((folder / "patch.json").read_text())
    (folder / "patch.json").write_text(json.dumps(about | {"layers": [{"layer": 1, "rank": 1, "norm": 1.0}]}))
    with pytest.raises(BadInputError, match=r"layer 1: wanted U and V, two matrices in float32"):
        read_updates(open_patch(str(folder)))


@pytest.mark.parametrize(("updates", "message"), [([], "without updates"), ([float("nan")], "layer.0.U is not finite")])
def test_nothing_and_nonsense_are_not_written(base: CheckpointRef, updates: list[float], message: str) -> None:
    given = [Update(layer=0, left=random_update(1).left * factor, right=random_update(1).right) for factor in updates]
    with pytest.raises(ValueError, match=message):
        write_patch(given, lambda file: file.write_text("") and None, base=base, model_type="gpt2")
    assert store.digests("patches", "") == []
