"""Stage `patch export`: the adapter that peft loads gives the logits of the model that the patches give."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from tasks import store
from tasks.artifacts import BadInputError, CheckpointRef, EditPatch
from tasks.models.checkpoints import base_of, inspect_model
from tasks.models.loading import load_model
from tasks.patch_export import export_patches
from tasks.patches import apply_patches
from tests.stand_ins.patches import SHAPES, as_folder, logits, put_patch, random_update, reloaded

Given = tuple[CheckpointRef, tuple[EditPatch, ...]]


@pytest.fixture(params=["gpt2", "llama"])
def given(
    request: pytest.FixtureRequest,
    lethe_home: Path,
    tmp_path: Path,
    tiny_gpt2: Any,
    tiny_llama: Any,
    tiny_tokenizer: Any,
) -> Given:
    """A base of each form, and patches of different ranks on its layers."""
    model, shape = {"gpt2": tiny_gpt2, "llama": tiny_llama}[request.param](0), SHAPES[request.param]
    base = as_folder(model, tiny_tokenizer, tmp_path / "base")
    first = put_patch(base, random_update(1, 1, 1, shape), kind=request.param)
    second = put_patch(
        base, random_update(2, 0, 1, shape), random_update(3, 1, 2, shape), on=(first,), kind=request.param
    )
    return base, (first, second)


@pytest.mark.parametrize("count", [1, 2])
def test_peft_loads_what_the_patches_give(given: Given, count: int) -> None:
    base, patches = given
    exported = store.path(export_patches.body(base, patches[:count], "edited"))
    edited = reloaded(store.path(apply_patches.body(base, patches[:count], "edited")))
    plain = reloaded(Path(base.location))
    before = logits(plain)
    beside = PeftModel.from_pretrained(plain, str(exported))
    assert (logits(beside) - before).abs().max() > 1e-2
    torch.testing.assert_close(logits(beside), logits(edited), atol=1e-5, rtol=0)
    torch.testing.assert_close(logits(beside.merge_and_unload()), logits(edited), atol=1e-5, rtol=0)


def test_only_edited_matrices_are_adapted_with_one_rank_and_scale(given: Given) -> None:
    base, patches = given
    folder = store.path(export_patches.body(base, patches, "edited"))
    settings = json.loads((folder / "adapter_config.json").read_text())
    gpt2 = "transformer" in settings["target_modules"][0]
    path = "transformer.h.{}.mlp.c_proj" if gpt2 else "model.layers.{}.mlp.down_proj"
    assert settings["target_modules"] == [path.format(layer) for layer in (0, 1)]
    assert (settings["r"], settings["lora_alpha"], settings["fan_in_fan_out"]) == (3, 3, gpt2)
    assert settings["base_model_name_or_path"] == base.location
    # what servers of adapters do not read
    assert not {"rank_pattern", "alpha_pattern", "use_rslora", "modules_to_save"} & {*settings}
    adapted = [
        name
        for name, module in PeftModel.from_pretrained(reloaded(Path(base.location)), str(folder)).named_modules()
        if hasattr(module, "lora_A")
    ]
    assert adapted == [f"base_model.model.{path.format(layer)}" for layer in (0, 1)]


def test_the_project_loads_it_onto_its_base(given: Given) -> None:
    base, patches = given
    exported = export_patches.body(base, patches, "edited")
    again = inspect_model(str(store.path(exported)), "target")
    assert (again.parameters, base_of(store.path(again)).digest) == (base.parameters, base.digest)
    edited = reloaded(store.path(apply_patches.body(base, patches, "edited")))
    torch.testing.assert_close(logits(load_model(again)), logits(edited), atol=1e-5, rtol=0)


def test_nothing_and_patches_of_another_base_are_not_exported(
    given: Given, tmp_path: Path, tiny_gpt2: Any, tiny_tokenizer: Any
) -> None:
    base, patches = given
    with pytest.raises(BadInputError, match="no patches to export"):
        export_patches.body(base, (), "edited")
    other = as_folder(tiny_gpt2(5), tiny_tokenizer, tmp_path / "other")
    with pytest.raises(BadInputError, match="belongs to weights"):
        export_patches.body(other, patches, "edited")
    with pytest.raises(BadInputError, match="layer 7; the model has 2"):
        export_patches.body(base, (put_patch(base, random_update(1, 7)),), "edited")
