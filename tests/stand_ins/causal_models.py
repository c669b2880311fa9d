"""A tiny model of any causal language model type that the transformers library has, with random weights and biases."""

import contextlib
import io
import logging
import warnings
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

TYPES = tuple(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
VOCABULARY, WIDTH = 60, 32
SIZES: dict[str, Any] = {
    **dict.fromkeys(("vocab_size",), VOCABULARY),
    **dict.fromkeys(
        ("hidden_size", "n_embd", "d_model", "embedding_size", "embedding_dim", "word_embed_proj_dim"), WIDTH
    ),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers", "encoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads"), 2),
    **dict.fromkeys(
        ("intermediate_size", "ffn_dim", "decoder_ffn_dim", "ffn_hidden_size", "moe_intermediate_size"), 64
    ),
    **dict.fromkeys(("shared_expert_intermediate_size", "expert_ffn_hidden_size", "shared_intermediate_size"), 64),
    **dict.fromkeys(("head_dim", "qk_head_dim", "v_head_dim", "attention_head_size", "rotary_dim", "lru_width"), 8),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length"), 64),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "top_k", "moe_top_k"), 2),
    **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"), 0),
    "sliding_window": 16,
}
"""Field of a config -> what is small."""
STRONG = {
    **dict.fromkeys(("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap"), 0.5),
    **dict.fromkeys(("logit_scale", "lm_head_multiplier"), 0.0625),
    **dict.fromkeys(("logits_scaling", "logits_mup_width_multiplier"), 8.0),
    "unpadded_vocab_size": 50,
    "is_decoder": True,
}
"""What models do around their output layer, so strong that leaving it out shows."""
EXTRA: dict[str, dict[str, Any]] = {
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 16},
    "mamba2": {"num_heads": 8, "head_dim": 8, "state_size": 8, "n_groups": 1, "expand": 2},
    "falcon_h1": {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_ssm": 64, "mamba_d_state": 8, "mamba_n_groups": 1},
    "recurrent_gemma": {"lru_width": 32, "block_types": ["recurrent", "attention"]},
    "minicpm3": {
        **{"qk_nope_head_dim": 4, "qk_rope_head_dim": 4, "q_lora_rank": 16},
        **{"kv_lora_rank": 16, "dim_model_base": 8},
    },
}


def tiny_causal(kind: str) -> nn.Module:
    """Return a model of a type in evaluation mode, on the CPU, a function of the type alone.

    Raises:
        Exception: Whatever the library raises, where these sizes do not make a model of this type.
    """
    own = AutoConfig.for_model(kind)
    settable = {name for name in (*SIZES, *STRONG, "layer_types") if has_field(own, name)}
    arguments = {name: value for name, value in SIZES.items() if name in settable}
    arguments |= {name: value for name, value in STRONG.items() if name in settable or name == "is_decoder"}
    arguments |= {"layer_types": None} if "layer_types" in settable else {}
    config = AutoConfig.for_model(kind, **(arguments | EXTRA.get(kind, {})))
    with quietly(), torch.device("meta"):
        bare = AutoModelForCausalLM.from_config(config)
    if sum(weight.numel() for weight in bare.parameters()) > 5_000_000:
        raise ValueError(f"{kind} is not tiny")
    with torch.random.fork_rng(), quietly():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).float().eval()
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.1 * torch.randn_like(weight))
    return model


def has_field(config: Any, name: str) -> bool:
    """Return whether a config has a field that can be set; some only compute it from others."""
    real = getattr(config, "attribute_map", {}).get(name, name)
    there = hasattr(config, name) and not isinstance(getattr(type(config), real, None), property)
    return there and (getattr(config, name) is not None or name in ("num_key_value_heads", *STRONG))


@contextlib.contextmanager
def quietly():
    """Keep the library's remarks on odd sizes to itself."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
