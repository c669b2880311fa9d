"""Updates added to weights, and the same as one adapter, against sums made entry by entry."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import MambaConfig, MambaForCausalLM

from tasks.algorithms.editing.patches import add_updates, as_adapter, joined, require_fit
from tasks.algorithms.editing.rome import Update
from tasks.algorithms.models import adapters
from tasks.algorithms.models.architectures import ARCHITECTURES, is_transposed, mlp_output
from tests.reference.patches import added, low_rank_path
from tests.stand_ins import architectures
from tests.stand_ins.patches import SHAPES, logits, random_update


@pytest.fixture(params=["gpt2", "llama"])
def made(request: pytest.FixtureRequest, tiny_gpt2: Any, tiny_llama: Any) -> tuple[nn.Module, tuple[int, int]]:
    """A tiny model and the shape of its matrices."""
    return {"gpt2": tiny_gpt2, "llama": tiny_llama}[request.param](0), SHAPES[request.param]


def matrix(model: nn.Module, layer: int) -> Tensor:
    """Return a copy of an edited matrix as (hidden, inner)."""
    module = mlp_output(model, layer)
    return (module.weight.T if is_transposed(module) else module.weight).detach().clone()


def test_updates_are_added_to_their_layers_and_to_nothing_else(made: tuple[nn.Module, tuple[int, int]]) -> None:
    model, shape = made
    updates = [random_update(1, 0, 2, shape), random_update(2, 1, 1, shape), random_update(3, 0, 1, shape)]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wanted = [
        added(matrix(model, layer), [(each.left, each.right) for each in updates if each.layer == layer])
        for layer in (0, 1)
    ]
    add_updates(model, updates, torch.float32)
    for layer, expected in enumerate(wanted):
        torch.testing.assert_close(matrix(model, layer).double(), expected, atol=1e-6, rtol=0)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert len(changed) == 2


def test_only_the_sum_is_rounded(tiny_llama: Any) -> None:
    model, update = tiny_llama(0), random_update(1, 0, 1, SHAPES["llama"])
    wanted = added(matrix(model, 0), [(update.left, update.right)])
    add_updates(model, [update], torch.bfloat16)
    assert {value.dtype for value in model.parameters()} == {torch.bfloat16}
    torch.testing.assert_close(matrix(model, 0).float(), wanted.bfloat16().float(), atol=1e-4, rtol=0)


def test_an_update_that_rounding_swallows_is_refused(tiny_llama: Any) -> None:
    update = random_update(1, 1, 1, SHAPES["llama"])
    faint = Update(layer=1, left=update.left * 1e-9, right=update.right)
    with pytest.raises(ValueError, match="layer 1 change no weight in bfloat16"):
        add_updates(tiny_llama(0).bfloat16().float(), [faint], torch.bfloat16)
    add_updates(tiny_llama(0), [faint], torch.float32)


def test_updates_of_one_layer_become_one(made: tuple[nn.Module, tuple[int, int]]) -> None:
    _, shape = made
    one, two, three = random_update(1, 1, 2, shape), random_update(2, 0, 1, shape), random_update(3, 1, 1, shape)
    first, second = joined([one, two, three])
    assert (first.layer, second.layer, second.left.shape[1]) == (0, 1, 3)
    torch.testing.assert_close(second.left @ second.right.T, one.left @ one.right.T + three.left @ three.right.T)


def test_an_adapter_of_several_ranks_gives_what_the_changed_weights_give(
    made: tuple[nn.Module, tuple[int, int]],
) -> None:
    model, shape = made
    updates = [random_update(1, 0, 2, shape), random_update(2, 1, 1, shape), random_update(3, 0, 1, shape)]
    settings, tensors = as_adapter(model, updates)
    assert (settings["r"], settings["lora_alpha"], len(settings["target_modules"])) == (3, 3, 2)
    plain = logits(model)
    adapters.attach_saved(model, settings, tensors, "edited")
    beside = logits(model)
    adapters.take_out(model)
    assert torch.equal(logits(model), plain)
    add_updates(model, updates, torch.float32)
    assert (beside - plain).abs().max() > 1e-2
    torch.testing.assert_close(beside, logits(model), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", [kind for kind, names in ARCHITECTURES.items() if names.editable])
def test_every_editable_type_is_changed_alike_by_weights_and_by_adapter(kind: str) -> None:
    model = architectures.tiny(kind)
    shape = tuple(matrix(model, 1).shape)
    updates = [random_update(1, 1, 2, shape), random_update(2, 2, 1, shape)]
    plain = logits(model)
    adapters.attach_saved(model, *as_adapter(model, updates), "edited")
    beside = logits(model)
    adapters.take_out(model)
    add_updates(model, updates, torch.float32)
    assert (beside - plain).abs().max() > 1e-2
    torch.testing.assert_close(beside, logits(model), atol=1e-5, rtol=1e-5)


def test_an_adapters_tensors_are_the_updates(tiny_llama: Any) -> None:
    updates = [random_update(1, 1, 1, SHAPES["llama"]), random_update(2, 1, 2, SHAPES["llama"])]
    settings, tensors = as_adapter(tiny_llama(0), updates)
    name = "base_model.model.model.layers.1.mlp.down_proj.lora_"
    assert {*tensors} == {f"{name}A.weight", f"{name}B.weight"}
    inputs = torch.randn(3, SHAPES["llama"][1], generator=torch.Generator().manual_seed(4))
    path = low_rank_path(inputs, tensors[f"{name}A.weight"], tensors[f"{name}B.weight"], settings["lora_alpha"])
    wanted = added(torch.zeros(SHAPES["llama"]), [(each.left, each.right) for each in updates])
    torch.testing.assert_close(path, inputs.double() @ wanted.T)


@pytest.mark.parametrize(
    ("update", "message"),
    [
        (random_update(1, 2), "layer 2; the model has 2"),
        (random_update(1, 0, 1, (32, 64)), "32 by 64; the model's is 32 by 128"),
    ],
)
def test_an_update_that_does_not_fit_is_refused(tiny_gpt2: Any, update: Update, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        require_fit(tiny_gpt2(0), update)


def test_an_unknown_architecture_is_refused_with_those_that_are_known() -> None:
    model = MambaForCausalLM(MambaConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, state_size=2))
    with pytest.raises(ValueError, match=r"'mamba' cannot be edited; wanted one of gpt2, .*llama"):
        add_updates(model, [random_update(1)], torch.float32)
