"""Claims: hidden states after a layer are those of the whole pass, later layers are not computed, gradients flow;
unknown model types are refused.
"""

import pytest
import torch
from torch import nn
from transformers import MambaConfig, MambaForCausalLM

from tasks.algorithms.models.architectures import ARCHITECTURES, decoder_layers
from tasks.algorithms.models.layers import hidden_after, mlp_output_names, mlp_parameter_names
from tasks.algorithms.tokens.batching import pad_batch
from tests.stand_ins.architectures import tiny
from tests.stand_ins.objectives import layer_states

BLOCKS = [(5, 6, 7, 8, 9), (10, 11)]


@pytest.fixture(params=["tiny_llama", "tiny_gpt2"])
def model(request: pytest.FixtureRequest) -> nn.Module:
    depth = {"tiny_llama": "num_hidden_layers", "tiny_gpt2": "n_layer"}[request.param]
    return request.getfixturevalue(request.param)(1, vocab_size=40, initializer_range=0.3, **{depth: 3})


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_states_are_those_of_the_whole_pass(model, layer: int) -> None:
    ids, mask = pad_batch(BLOCKS, 0)
    assert torch.equal(hidden_after(model, layer, ids, mask), layer_states(model, ids, mask, layer))
    assert (
        torch.equal(
            hidden_after(model, layer, ids, mask),
            model(ids, attention_mask=mask, output_hidden_states=True).hidden_states[layer + 1],
        )
        or layer == 2
    )


def test_nothing_above_the_layer_is_computed_and_no_hook_stays(model) -> None:
    ran: list[int] = []
    for number, layer in enumerate(decoder_layers(model)):
        layer.register_forward_pre_hook(lambda module, inputs, number=number: ran.append(number))
    model.get_output_embeddings().register_forward_pre_hook(lambda module, inputs: ran.append(99))
    ids, mask = pad_batch(BLOCKS, 0)
    hidden_after(model, 1, ids, mask)
    assert ran == [0, 1]
    assert model(ids, attention_mask=mask).logits.shape == (2, 5, 40)
    assert ran == [0, 1, 0, 1, 2, 99]


def grads(model: nn.Module, hidden: torch.Tensor) -> list:
    model.zero_grad()
    hidden.square().sum().backward()
    return [weight.grad for weight in model.parameters()]


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_are_those_of_the_whole_pass(model, checkpointing: bool) -> None:
    ids, mask = pad_batch(BLOCKS, 0)
    expected = grads(model, layer_states(model, ids, mask, 1))
    if checkpointing:
        model.gradient_checkpointing_enable()
        model.train()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    found = grads(model, hidden_after(model, 1, ids, mask))
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other)


def test_a_layer_that_is_not_there_is_refused(model) -> None:
    with pytest.raises(ValueError, match="layer is 3; wanted 0 to 2 in a model of 3 layers"):
        hidden_after(model, 3, *pad_batch(BLOCKS, 0))


def test_the_named_matrices_write_to_the_residual_stream(model) -> None:
    named = dict(model.named_parameters())
    found = mlp_output_names(model, [0, 2])
    assert [".0.mlp." in found[0], ".2.mlp." in found[1]] == [True, True]
    assert all(sorted(named[name].shape) == sorted((32, 64 if "down_proj" in name else 128)) for name in found)


def test_the_named_matrices_of_experts_are_stacked() -> None:
    model = tiny("mixtral")
    assert mlp_output_names(model, [1]) == ["model.layers.1.mlp.experts.down_proj"]
    assert dict(model.named_parameters())["model.layers.1.mlp.experts.down_proj"].shape == (2, 32, 64)


def test_an_unknown_model_type_is_refused_with_the_list() -> None:
    model = MambaForCausalLM(MambaConfig(vocab_size=40, hidden_size=32, num_hidden_layers=1, state_size=4))
    with pytest.raises(ValueError, match="model type 'mamba' is not known by its layers; wanted one of gpt2, gpt_neo"):
        mlp_output_names(model, [0])
    with pytest.raises(ValueError, match="model type 'mamba' is not known"):
        hidden_after(model, 0, *pad_batch(BLOCKS, 0))


MLPS = {
    "gpt2": ("mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight", "mlp.c_proj.bias"),
    "gpt_neo": ("mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight", "mlp.c_proj.bias"),
    "gptj": ("mlp.fc_in.weight", "mlp.fc_in.bias", "mlp.fc_out.weight", "mlp.fc_out.bias"),
    **dict.fromkeys(
        ("gpt_neox", "bloom"),
        tuple(f"mlp.dense_{way}.{kind}" for way in ("h_to_4h", "4h_to_h") for kind in ("weight", "bias")),
    ),
    **dict.fromkeys(
        ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma3_text"),
        ("mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight"),
    ),
    "phi3": ("mlp.gate_up_proj.weight", "mlp.down_proj.weight"),
    "phi": ("mlp.fc1.weight", "mlp.fc1.bias", "mlp.fc2.weight", "mlp.fc2.bias"),
    "opt": ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"),
    "mixtral": ("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
}
"""All of an MLP; what chooses among experts is none of it."""


def test_every_known_type_has_its_mlps_listed() -> None:
    assert {*MLPS} == {*ARCHITECTURES}


@pytest.mark.parametrize("kind", MLPS)
def test_the_parameters_of_an_mlp_are_all_of_it_and_nothing_else(kind: str) -> None:
    model = tiny(kind)
    prefix = next(name for name, module in model.named_modules() if module is decoder_layers(model)[0])[:-1]
    found = mlp_parameter_names(model, [2, 0])
    assert sorted(found) == sorted(f"{prefix}{layer}.{name}" for layer in (0, 2) for name in MLPS[kind])


@pytest.mark.parametrize("layer", [-1, 3])
def test_the_mlp_of_a_layer_that_is_not_there_is_refused(layer: int) -> None:
    with pytest.raises(ValueError, match=rf"layer is {layer}; wanted 0 to 2 in a model of 3 layers"):
        mlp_parameter_names(tiny("gpt2"), [0, layer])
