"""Claims: a model with fused activations computes the same, in float64 to rounding, with gradients; it has its own
modules again afterwards, also after an error.
"""

from collections.abc import Callable

import pytest
import torch
from transformers import GPT2LMHeadModel, LlamaForCausalLM

from tasks.algorithms.models.kernels import fused_activations


def test_a_fused_model_computes_the_same(tiny_gpt2: Callable[..., GPT2LMHeadModel]) -> None:
    model = tiny_gpt2(0).double()
    own = [layer.mlp.act for layer in model.transformer.h]
    ids = torch.randint(0, 300, (3, 11), generator=torch.Generator().manual_seed(0))

    def outcome() -> tuple[torch.Tensor, torch.Tensor]:
        model.zero_grad()
        logits = model(ids).logits
        logits.log_softmax(-1)[..., 0].sum().backward()
        return logits.detach(), model.transformer.h[0].mlp.c_fc.weight.grad.clone()

    plain = outcome()
    with fused_activations(model):
        assert all(isinstance(layer.mlp.act, torch.nn.GELU) for layer in model.transformer.h)
        fused = outcome()
    assert all(torch.allclose(one, other, rtol=1e-10, atol=1e-12) for one, other in zip(plain, fused, strict=True))
    assert [layer.mlp.act for layer in model.transformer.h] == own


def test_after_an_error_the_model_is_its_own_again(tiny_gpt2: Callable[..., GPT2LMHeadModel]) -> None:
    model = tiny_gpt2(0)
    own = model.transformer.h[0].mlp.act
    with pytest.raises(KeyError), fused_activations(model):
        raise KeyError
    assert model.transformer.h[0].mlp.act is own


def test_other_activations_stay(tiny_llama: Callable[..., LlamaForCausalLM]) -> None:
    model = tiny_llama(0)
    own = model.model.layers[0].mlp.act_fn
    with fused_activations(model):
        assert model.model.layers[0].mlp.act_fn is own
