"""Claims: what is not chosen is frozen, adapters sit on the chosen matrices, and a model whose MLPs cannot be found is
refused.
"""

from collections.abc import Callable
from typing import Any

import pytest
from torch import nn
from transformers import MambaConfig, MambaForCausalLM

from tasks.algorithms.models.adapter_layers import target_layers
from tasks.algorithms.models.architectures import ARCHITECTURES
from tasks.artifacts import BadInputError
from tasks.settings.training import LoraConfig
from tasks.training.chosen_weights import train_localised, train_only
from tests.stand_ins.architectures import tiny
from tests.stand_ins.localised import localisation


def trainable(model: nn.Module) -> list[str]:
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


@pytest.mark.parametrize("kind", [kind for kind in ARCHITECTURES if ARCHITECTURES[kind].editable])
def test_of_every_editable_type_the_named_mlps_alone_are_trained_whole_or_by_adapter(kind: str) -> None:
    model = tiny(kind)
    lora = train_localised(model, localisation(0, 2), LoraConfig(rank=2))
    chosen = trainable(model)
    assert chosen
    assert all((".0." in name or ".2." in name) and ("mlp" in name or "fc" in name) for name in chosen)
    assert {*lora.targets} == {name.rpartition(".")[0] for name in chosen}
    assert sorted(target_layers(model, lora.targets)) == sorted(lora.targets)  # each is there, and none else
    assert lora.rank == 2


def test_experts_are_trained_whole_without_what_chooses_among_them() -> None:
    model = tiny("mixtral")
    lora = train_localised(model, localisation(1), LoraConfig())
    assert trainable(model) == [f"model.layers.1.mlp.experts.{name}" for name in ("gate_up_proj", "down_proj")]
    assert lora.targets == ()


def test_all_weights_are_trained_where_nothing_is_named(tiny_gpt2: Callable[..., Any]) -> None:
    model, lora = tiny_gpt2(0), LoraConfig(rank=2, targets=("c_attn",))
    assert train_localised(model, None, lora) is lora
    assert len(trainable(model)) == len(list(model.named_parameters()))


def test_names_are_taken_as_they_are(tiny_gpt2: Callable[..., Any]) -> None:
    model = tiny_gpt2(0)
    lora = train_only(model, ["transformer.h.1.mlp.c_proj.weight", "transformer.h.1.mlp.c_proj.bias"], LoraConfig())
    assert trainable(model) == ["transformer.h.1.mlp.c_proj.weight", "transformer.h.1.mlp.c_proj.bias"]
    assert lora.targets == ("transformer.h.1.mlp.c_proj",)


def test_a_model_whose_mlps_cannot_be_found_is_refused() -> None:
    model = MambaForCausalLM(MambaConfig(vocab_size=40, hidden_size=16, num_hidden_layers=2, state_size=4))
    with pytest.raises(BadInputError, match="model type 'mamba' is not known by its layers; wanted one of gpt2"):
        train_localised(model, localisation(0), LoraConfig())


def test_a_layer_that_is_not_there_is_refused(tiny_gpt2: Callable[..., Any]) -> None:
    with pytest.raises(BadInputError, match="layer is 2; wanted 0 to 1 in a model of 2 layers"):
        train_localised(tiny_gpt2(0), localisation(2), LoraConfig())
