"""A tiny model of every known type, with random weights that are large enough for its states to differ."""

import torch
import transformers
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedConfig

TOKENS = {"vocab_size": 60, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None}
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
GROUPED = {"num_key_value_heads": 2}
GEMMA = GROUPED | {"head_dim": 8}
GPT = {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64}
WINDOW = 4
"""Tokens that a layer with a sliding window sees: fewer than the rows of the tests have."""

CONFIGS: dict[str, tuple[str, dict]] = {
    "gpt2": ("GPT2Config", GPT),
    "gpt_neo": (
        "GPTNeoConfig",
        {
            "hidden_size": 32,
            "num_layers": 3,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 1], [["global"], 1]],
            "window_size": WINDOW,
            "max_position_embeddings": 64,
        },
    ),
    "gptj": ("GPTJConfig", GPT | {"rotary_dim": 4}),
    "gpt_neox": ("GPTNeoXConfig", SIZES),
    "llama": ("LlamaConfig", SIZES),
    "mistral": ("MistralConfig", SIZES | GROUPED | {"sliding_window": WINDOW}),
    "qwen2": ("Qwen2Config", SIZES | GROUPED),
    "qwen3": ("Qwen3Config", SIZES | GEMMA),
    "gemma": ("GemmaConfig", SIZES | GEMMA),
    "phi3": ("Phi3Config", SIZES),
    "gemma3_text": (
        "Gemma3TextConfig",
        SIZES
        | GEMMA
        | {
            "sliding_window": WINDOW,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        },
    ),
    "phi": ("PhiConfig", SIZES),
    "opt": (
        "OPTConfig",
        {
            "hidden_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "ffn_dim": 64,
            "word_embed_proj_dim": 32,
            "max_position_embeddings": 64,
            "pad_token_id": 1,
        },
    ),
    "bloom": ("BloomConfig", {"hidden_size": 32, "n_layer": 3, "n_head": 4}),
    "mixtral": ("MixtralConfig", SIZES | GROUPED | {"num_local_experts": 2}),
}
"""`config.model_type` -> configuration class and its arguments."""
OPT_350M = {"do_layer_norm_before": False, "word_embed_proj_dim": 16}
"""What OPT-350m has otherwise than its siblings: norms after what is added, and narrower embeddings."""


def tiny(kind: str, **changes: object) -> nn.Module:
    """Return a model in evaluation mode, a function of its arguments alone."""
    name, arguments = CONFIGS[kind]
    config: PreTrainedConfig = getattr(transformers, name)(**(TOKENS | arguments | changes))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).eval()
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.1 * torch.randn_like(weight))
    return model
