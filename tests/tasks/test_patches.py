"""Stage `patches`: what comes out is the base plus the patches, to the bit, and says so."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import MambaConfig, MambaForCausalLM

from tasks import store
from tasks.algorithms.models.architectures import is_transposed, mlp_output
from tasks.artifacts import BadInputError, CheckpointRef, EditPatch
from tasks.models.checkpoints import GUARDRAIL
from tasks.models.loading import load_tokenizer
from tasks.models.patched_models import LIST, read_list
from tasks.models.weights import weights_digest
from tasks.patches import apply_patches
from tests.reference.patches import added
from tests.stand_ins.patches import SHAPES, as_folder, logits, put_patch, random_update, reloaded


@pytest.fixture(params=["gpt2", "llama"])
def given(
    request: pytest.FixtureRequest,
    lethe_home: Path,
    tmp_path: Path,
    tiny_gpt2: Any,
    tiny_llama: Any,
    tiny_tokenizer: Any,
) -> tuple[CheckpointRef, tuple[EditPatch, ...]]:
    """A base of each form, and three patches of it on two layers."""
    model, shape = {"gpt2": tiny_gpt2, "llama": tiny_llama}[request.param](0), SHAPES[request.param]
    base = as_folder(model, tiny_tokenizer, tmp_path / "base")
    patches: tuple[EditPatch, ...] = ()
    for seed in (1, 2, 3):
        updates = [random_update(seed, 0, 1, shape), random_update(10 + seed, 1, 2, shape)]
        patches = (*patches, put_patch(base, *updates, on=patches, kind=request.param))
    return base, patches


def test_the_model_reloaded_is_the_base_plus_its_patches(given: tuple[CheckpointRef, tuple[EditPatch, ...]]) -> None:
    base, patches = given
    made = apply_patches.body(base, patches, "edited")
    assert (made.label, made.parameters, made.sensitivity) == ("edited", base.parameters, "ordinary")
    before, after = reloaded(Path(base.location)), reloaded(store.path(made))
    kind = before.config.model_type
    for layer in (0, 1):
        module = mlp_output(before, layer)
        own = [random_update(seed + 10 * layer, layer, 1 + layer, SHAPES[kind]) for seed in (1, 2, 3)]
        weight = module.weight.T if is_transposed(module) else module.weight
        wanted = added(weight.detach(), [(update.left, update.right) for update in own])
        found = mlp_output(after, layer).weight
        found = found.T if is_transposed(module) else found
        torch.testing.assert_close(found.double(), wanted, atol=1e-6, rtol=0)
    others = {name: value for name, value in after.state_dict().items() if "c_proj" not in name or "attn" in name}
    same = {name for name, value in others.items() if torch.equal(value, before.state_dict()[name])}
    assert {*others} - same <= {f"model.layers.{layer}.mlp.down_proj.weight" for layer in (0, 1)}
    assert (logits(after) - logits(before)).abs().max() > 1e-2
    assert load_tokenizer(made).get_vocab() == load_tokenizer(base).get_vocab()


def test_the_model_lists_its_patches_in_order(given: tuple[CheckpointRef, tuple[EditPatch, ...]]) -> None:
    base, patches = given
    made = apply_patches.body(base, patches[::-1], "edited")
    digest, names = read_list(store.path(made))
    assert digest == weights_digest(base)
    assert names == [patch.digest for patch in patches[::-1]]
    assert json.loads((store.path(made) / LIST).read_text())["weights"] == weights_digest(made) != digest


def test_a_patch_left_out_leaves_nothing_behind(given: tuple[CheckpointRef, tuple[EditPatch, ...]]) -> None:
    base, (first, second, third) = given
    whole = apply_patches.body(base, (first, second, third), "edited")
    left = apply_patches.body(base, (first, third), "edited")
    assert whole.digest != left.digest == apply_patches.body(base, (first, third), "never had the second").digest
    one = apply_patches.body(base, (first,), "edited")
    twice = [store.path(one) / "model.safetensors", store.path(left) / "model.safetensors"]
    assert twice[0].read_bytes() != twice[1].read_bytes()


def test_half_precision_is_rounded_once_and_kept(
    lethe_home: Path, tmp_path: Path, tiny_llama: Any, tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    from tasks.models import loading

    monkeypatch.setattr(loading, "SMALL_PARAMETERS", 0)
    model, shape = tiny_llama(0).bfloat16(), SHAPES["llama"]
    base = as_folder(model, tiny_tokenizer, tmp_path / "base")
    patches = tuple(put_patch(base, random_update(seed, 0, 1, shape), kind="llama") for seed in (1, 2))
    made = load_file(store.path(apply_patches.body(base, patches, "edited")) / "model.safetensors")
    name = "model.layers.0.mlp.down_proj.weight"
    own = [random_update(seed, 0, 1, shape) for seed in (1, 2)]
    wanted = added(model.state_dict()[name], [(update.left, update.right) for update in own])
    assert {value.dtype for value in made.values()} == {torch.bfloat16}
    assert (made[name].double() - wanted).abs().max() <= 2**-8 * wanted.abs().max()


def test_a_guardrail_stays_around_the_model(given: tuple[CheckpointRef, tuple[EditPatch, ...]]) -> None:
    base, patches = given
    (Path(base.location) / GUARDRAIL).write_text("{}")
    made = apply_patches.body(base, patches, "edited")
    assert (store.path(made) / GUARDRAIL).read_text() == "{}"
    assert made.sensitivity == "forget"


def test_no_patches_another_base_and_an_unknown_architecture_are_refused(
    given: tuple[CheckpointRef, tuple[EditPatch, ...]], tmp_path: Path, tiny_gpt2: Any, tiny_tokenizer: Any
) -> None:
    base, patches = given
    with pytest.raises(BadInputError, match="no patches to add"):
        apply_patches.body(base, (), "edited")
    other = as_folder(tiny_gpt2(5), tiny_tokenizer, tmp_path / "other")
    with pytest.raises(BadInputError, match=f"belongs to weights {weights_digest(base)[:16]}"):
        apply_patches.body(other, patches, "edited")
    mamba = MambaForCausalLM(MambaConfig(vocab_size=300, hidden_size=8, num_hidden_layers=1, state_size=2))
    unknown = as_folder(mamba, tiny_tokenizer, tmp_path / "unknown")
    with pytest.raises(BadInputError, match="'mamba' cannot be edited; wanted one of gpt2"):
        apply_patches.body(unknown, (put_patch(unknown, random_update(1), kind="mamba"),), "edited")
    wide = put_patch(base, random_update(1, 0, 1, (32, 99)))
    with pytest.raises(BadInputError, match="is for a matrix of 32 by 99; the model's is 32 by"):
        apply_patches.body(base, (wide,), "edited")
