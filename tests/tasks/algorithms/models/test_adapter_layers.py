"""Claims: adapters go to all linear layers of attention and MLP and to no others; what has none known is refused in
words.
"""

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, MambaConfig, MambaForCausalLM

from tasks.algorithms.models.adapter_layers import check_adaptable, target_layers
from tasks.settings.training import LoraConfig

SIZES = {"vocab_size": 99, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
LLAMA = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    **SIZES,
}
OPT = {
    "hidden_size": 32,
    "ffn_dim": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "word_embed_proj_dim": 16,
    "vocab_size": 99,
    "pad_token_id": 0,
}
PROJECTIONS = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"}
WANTED = {
    "qwen2": (LLAMA, PROJECTIONS | {"mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}),
    "phi3": (LLAMA, {"self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj"}),
    "gpt_neox": (LLAMA, {"attention.query_key_value", "attention.dense", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h"}),
    "opt": (OPT, {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "fc1", "fc2"}),
    "bloom": (
        {"hidden_size": 32, "n_layer": 2, "n_head": 2, **SIZES},
        {"self_attention.query_key_value", "self_attention.dense", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h"},
    ),
    "mixtral": ({**LLAMA, "num_local_experts": 2}, {"self_attn.q_proj", "self_attn.v_proj"}),
}
"""Model type -> its config and the names inside a block. Mixtral's experts are no linear layers, so peft's table
decides."""


def skeleton(kind: str, sizes: dict[str, int]) -> nn.Module:
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes))


@pytest.mark.parametrize("kind", WANTED)
def test_all_linear_layers_of_attention_and_mlp_are_found_and_no_other(kind: str) -> None:
    sizes, wanted = WANTED[kind]
    found = target_layers(skeleton(kind, sizes))
    assert {name.partition(".0.")[2] for name in found if ".0." in name} == wanted
    assert len(found) == 2 * len(wanted)  # two blocks


def test_an_architecture_without_known_layers_is_refused_by_name() -> None:
    model = MambaForCausalLM(MambaConfig(hidden_size=16, num_hidden_layers=1, state_size=4, vocab_size=50))
    with pytest.raises(
        ValueError,
        match=(
            r"model type 'mamba': its blocks have these linear layers: dt_proj, in_proj, out_proj, x_proj; wanted"
            r" attention and MLP"
        ),
    ):
        target_layers(model)
    assert [name.rpartition(".")[2] for name in target_layers(model, ("in_proj",))] == ["in_proj"]


def test_layers_by_name_are_taken_alone_and_a_name_that_is_not_there_is_refused(tiny_llama) -> None:
    assert {name.rpartition(".")[2] for name in target_layers(tiny_llama(1), ("q_proj", "up_proj"))} == {
        "q_proj",
        "up_proj",
    }
    with pytest.raises(ValueError, match="wanted layers named c_attn"):
        target_layers(tiny_llama(1), ("q_proj", "c_attn"))
    with pytest.raises(ValueError, match="wanted layers named lm_head"):  # no adapter on what may be tied
        target_layers(tiny_llama(1), ("lm_head",))


def test_a_rank_above_what_a_layer_can_have_is_refused(tiny_llama) -> None:
    assert check_adaptable(tiny_llama(1), LoraConfig(rank=32))
    with pytest.raises(
        ValueError,
        match=r"lora.rank is 33, and layer model.layers.0.self_attn.q_proj is 32 x 32; wanted a rank from 1 to 32",
    ):
        check_adaptable(tiny_llama(1), LoraConfig(rank=33))
