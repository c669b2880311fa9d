"""Claims: weights are rounded as the slow restatement rounds them, GPT-2's matrices along their inputs too; a grid has
no more points than its bits can name; embeddings, head, norms and biases stay, and so does what is on the grid already.
"""

from collections.abc import Callable

import pytest
import torch
from transformers import GPT2LMHeadModel, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

from tasks.algorithms.models.rounding import round_weights, rounded
from tests.reference import rounding as plain


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("group", [5, 7, 100])
def test_a_matrix_is_rounded_as_by_the_restatement(bits: int, group: int) -> None:
    weight = torch.randn(6, 17, generator=torch.Generator().manual_seed(bits), dtype=torch.float64)
    weight[2] = 0.0
    found = rounded(weight, bits, group)
    assert torch.allclose(found, torch.tensor(plain.rounded(weight.tolist(), bits, group), dtype=torch.float64))
    assert all(len(set(part.tolist())) < 2**bits for row in found for part in row.split(group))
    step = weight[0].abs().max() / (2 ** (bits - 1) - 1)
    assert (found[0] - weight[0]).abs().max() <= step / 2 + 1e-12


def test_what_is_rounded_already_stays() -> None:
    weight = rounded(torch.randn(4, 32, generator=torch.Generator().manual_seed(0)), 4, 16)
    assert torch.allclose(rounded(weight, 4, 16), weight, atol=1e-6)


def test_a_llama_keeps_its_embeddings_head_and_norms(tiny_llama: Callable[..., LlamaForCausalLM]) -> None:
    before, model = tiny_llama(0), tiny_llama(0)
    assert round_weights(model, 4, 16) == 7 * len(model.model.layers)
    old, new = before.state_dict(), model.state_dict()
    changed = {name for name in old if not old[name].equal(new[name])}
    assert changed == {name for name in old if "proj" in name}
    name = "model.layers.1.mlp.down_proj.weight"
    assert torch.allclose(
        new[name].double(), torch.tensor(plain.rounded(old[name].tolist(), 4, 16)).double(), atol=1e-6
    )


def test_a_gpt2_is_rounded_along_its_inputs(tiny_gpt2: Callable[..., GPT2LMHeadModel]) -> None:
    before, model = tiny_gpt2(0), tiny_gpt2(0)
    assert round_weights(model, 8, 24) == 4 * len(model.transformer.h)
    old, new = (each.transformer.h[0].mlp.c_fc.weight for each in (before, model))
    wanted = torch.tensor(plain.rounded(old.T.tolist(), 8, 24)).T
    assert torch.allclose(new, wanted.to(new), atol=1e-6)
    assert before.transformer.h[0].mlp.c_fc.bias.equal(model.transformer.h[0].mlp.c_fc.bias)
    assert before.lm_head.weight.equal(model.lm_head.weight)
    assert before.transformer.wpe.weight.equal(model.transformer.wpe.weight)


def test_experts_are_rounded_each_by_its_own_rows() -> None:
    config = MixtralConfig(
        vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, num_local_experts=3,
    )  # fmt: skip
    model = MixtralForCausalLM(config)
    experts = model.model.layers[0].mlp.experts.down_proj
    old = experts.detach().clone()
    round_weights(model, 4, 8)
    wanted = torch.stack([torch.tensor(plain.rounded(each.tolist(), 4, 8)) for each in old])
    assert torch.allclose(experts, wanted.to(experts), atol=1e-6)
