"""One digest for one model's weights, wherever they lie and however they are cut."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tasks import store
from tasks.artifacts import BadInputError
from tasks.models.checkpoints import inspect_model
from tasks.models.loading import load_model, load_tokenizer, save_checkpoint
from tasks.models.weights import folder_digest, identify, weights_digest
from tests.stand_ins.patches import as_folder


def test_a_folder_its_copy_in_the_store_and_its_parts_are_the_same_weights(
    lethe_home: Path, tmp_path: Path, tiny_gpt2: Any, tiny_tokenizer: Any
) -> None:
    given = as_folder(tiny_gpt2(0), tiny_tokenizer, tmp_path / "given")
    stored = save_checkpoint(load_model(given), load_tokenizer(given), "target", sensitivity="ordinary", origin=None)
    assert given.digest != stored.digest
    tiny_gpt2(0).save_pretrained(tmp_path / "parts", max_shard_size="20KB")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 2
    assert weights_digest(given) == weights_digest(stored) == folder_digest(tmp_path / "parts")


def test_a_second_layout_beside_the_weights_is_not_looked_at(tmp_path: Path, tiny_gpt2: Any) -> None:
    tiny_gpt2(0).save_pretrained(tmp_path)
    before = folder_digest(tmp_path)
    save_file({"other": torch.ones(2)}, tmp_path / "consolidated.safetensors")
    assert folder_digest(tmp_path) == before


@pytest.mark.parametrize("change", ["value", "name", "type", "shape"])
def test_other_tensors_are_other_weights(tmp_path: Path, tiny_gpt2: Any, change: str) -> None:
    tiny_gpt2(0).save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    before, tensors = folder_digest(tmp_path), load_file(file)
    name = "transformer.h.1.mlp.c_proj.weight"
    weight = tensors.pop(name)
    changed = {
        "value": weight.clone().index_put((torch.tensor(3), torch.tensor(4)), weight[3, 4] + 1e-3),
        "name": weight,
        "type": weight.view(torch.int32),
        "shape": weight.view(weight.shape[::-1]),
    }[change]
    save_file({**tensors, f"{name}s" if change == "name" else name: changed.contiguous()}, file)
    assert folder_digest(tmp_path) != before


def test_a_file_is_read_once_while_it_stays_what_it_is(
    tmp_path: Path, tiny_gpt2: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.models import weights

    tiny_gpt2(0).save_pretrained(tmp_path)
    read: list[int] = []
    original = weights._sum
    monkeypatch.setattr(weights, "_sum", lambda *words: read.append(1) or original(*words))
    first, count = folder_digest(tmp_path), len(read)
    assert (folder_digest(tmp_path), len(read)) == (first, count)
    assert count > 10
    os.utime(tmp_path / "model.safetensors", (1, 1))
    assert (folder_digest(tmp_path), len(read)) == (first, 2 * count)


def test_a_file_that_ends_too_early_is_an_error(tmp_path: Path, tiny_gpt2: Any) -> None:
    tiny_gpt2(0).save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(OSError, match="ends 100 bytes too early"):
        folder_digest(tmp_path)


def test_an_adapter_has_no_weights_of_its_own_to_patch(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(BadInputError, match="holds an adapter; wanted a whole model"):
        folder_digest(tmp_path)


def test_a_place_in_the_store_stays_noted_beside_a_users_copy(
    lethe_home: Path, tmp_path: Path, tiny_gpt2: Any, tiny_tokenizer: Any
) -> None:
    given = as_folder(tiny_gpt2(0), tiny_tokenizer, tmp_path / "given")
    digest = identify(given)
    assert store.noted_place(digest) == given.location
    stored = save_checkpoint(load_model(given), load_tokenizer(given), "target", sensitivity="ordinary", origin=None)
    assert identify(stored) == digest
    assert identify(inspect_model(given.location, "target")) == digest
    assert store.noted_place(digest) == str(store.path(stored))
