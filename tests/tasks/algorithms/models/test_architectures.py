"""Claims: every row of the table names what is there; the matrices write to the residual stream as the row says;
unknown types are refused with the list.
"""

import pytest
import torch
from torch import nn
from transformers import MambaConfig, MambaForCausalLM

from tasks.algorithms.models.architectures import (
    ARCHITECTURES,
    added_as_is,
    architecture,
    attention_output,
    decoder_layers,
    is_transposed,
    last_writers,
    mlp_output,
    mlp_weight,
    model_type,
    require_editable,
    tensor_of,
)
from tests.stand_ins.architectures import CONFIGS, OPT_350M, tiny

IDS = torch.tensor([[5, 6, 7, 8]])
EDITABLE = [
    *("gpt2", "gpt_neo", "gptj", "gpt_neox", "llama", "mistral", "qwen2", "qwen3", "gemma", "phi3"),
    *("gemma3_text", "phi", "opt", "bloom"),
]


def test_every_known_type_is_tried() -> None:
    assert {*CONFIGS} == {*ARCHITECTURES} == {*EDITABLE, "mixtral"}


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_names_are_those_of_the_model(kind: str) -> None:
    model = tiny(kind)
    assert (model_type(model), len(decoder_layers(model))) == (kind, 3)
    inner = next(size for size in (64, 128) if size in mlp_weight(model, 1).shape)
    wide = (inner, 32) if is_transposed(mlp_output(model, 1)) else (32, inner)
    assert mlp_weight(model, 1).shape == ((2, *wide) if kind == "mixtral" else wide)
    assert attention_output(model, 1).weight.shape == (32, 32)
    assert is_transposed(mlp_output(model, 1)) == (kind == "gpt2")
    assert [mlp_weight(model, layer) is mlp_weight(model, 1) for layer in range(3)] == [False, True, False]


def added_to_the_next_layer(model: nn.Module, matrix: nn.Module, change: torch.Tensor) -> torch.Tensor:
    """How much what layer 2 reads changes when a matrix of layer 1 writes something more."""
    read: list[torch.Tensor] = []

    def see(module: nn.Module, given: tuple, named: dict) -> None:
        read.append(given[0] if given else named["hidden_states"])

    handle = decoder_layers(model)[2].register_forward_pre_hook(see, with_kwargs=True)
    with torch.no_grad():
        model(input_ids=IDS)
        more = matrix.register_forward_hook(lambda module, given, made: tensor_of(made) + change)
        model(input_ids=IDS)
    handle.remove()
    more.remove()
    return read[1] - read[0]


@pytest.mark.parametrize("kind", EDITABLE)
def test_what_the_mlp_matrix_writes_more_is_added_where_the_table_says_so(kind: str) -> None:
    model, change = tiny(kind), torch.randn(32, generator=torch.Generator().manual_seed(1))
    added = added_to_the_next_layer(model, mlp_output(model, 1), change)
    assert torch.allclose(added, change.expand(1, 4, 32), atol=1e-5) == added_as_is(model) == (kind != "gemma3_text")
    assert added.abs().max() > 0.01


def test_opt_350m_normalises_the_sum() -> None:
    model, change = tiny("opt", **OPT_350M), torch.randn(32, generator=torch.Generator().manual_seed(1))
    assert not added_as_is(model)
    assert not torch.allclose(
        added_to_the_next_layer(model, mlp_output(model, 1), change), change.expand(1, 4, 32), atol=1e-2
    )


@pytest.mark.parametrize(
    "kind", [kind for kind in ARCHITECTURES if kind not in ("gemma3_text", "phi", "gptj", "gpt_neox")]
)
def test_what_the_attention_matrix_writes_more_reaches_the_mlp(kind: str) -> None:
    """Where both are not parallel: what the MLP matrix writes changes with it."""
    model, seen = tiny(kind), []
    handle = mlp_output(model, 1).register_forward_hook(lambda module, given, made: seen.append(tensor_of(made)))
    with torch.no_grad():
        model(input_ids=IDS)
        attention_output(model, 1).register_forward_hook(lambda module, given, made: made + 1.0 + torch.arange(32) / 16)
        model(input_ids=IDS)
    handle.remove()
    assert (seen[0] - seen[1]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("gpt2", ["transformer.h.2.attn.c_proj", "transformer.h.2.mlp"]),
        ("llama", ["model.layers.2.self_attn.o_proj", "model.layers.2.mlp"]),
        ("opt", ["model.decoder.layers.2.self_attn.out_proj"]),
        ("mixtral", ["model.layers.2.self_attn.o_proj"]),
    ],
)
def test_what_the_last_layer_writes_with(kind: str, names: list[str]) -> None:
    model = tiny(kind)
    assert [model.get_submodule(name) for name in names] == last_writers(model)


@pytest.fixture
def mamba() -> nn.Module:
    return MambaForCausalLM(MambaConfig(vocab_size=40, hidden_size=32, num_hidden_layers=1, state_size=4))


def test_an_unknown_type_is_refused_with_the_list(mamba) -> None:
    wanted = ", ".join(ARCHITECTURES)
    for work in (architecture, decoder_layers, lambda model: mlp_output(model, 0)):
        with pytest.raises(ValueError) as refused:
            work(mamba)
        assert str(refused.value) == f"model type 'mamba' is not known by its layers; wanted one of {wanted}"


@pytest.mark.parametrize("kind", ["mixtral", "mamba", ""])
def test_what_cannot_be_edited_is_refused_with_the_list(kind: str) -> None:
    with pytest.raises(ValueError) as refused:
        require_editable(kind)
    assert str(refused.value) == f"model type {kind!r} cannot be edited; wanted one of {', '.join(EDITABLE)}"


@pytest.mark.parametrize("kind", EDITABLE)
def test_what_can_be_edited_is_not_refused(kind: str) -> None:
    require_editable(kind)


def test_a_module_without_a_config_goes_by_its_class() -> None:
    assert model_type(nn.Linear(1, 1)) == "Linear"
