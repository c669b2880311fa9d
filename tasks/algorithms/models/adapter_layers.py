"""Which layers of a causal language model get a low-rank adapter: all linear ones of attention and MLP, found by name.

Names follow a few habits across architectures, so a rule finds them; for what it does not find there is peft's own
table; for the rest there is no adapter, since one on the wrong layers would look like one that works.
"""

import re
from collections.abc import Mapping

from torch import nn

from tasks.algorithms.models.architectures import model_type
from tasks.settings.training import LoraConfig

ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
FEED_FORWARD = re.compile(r"mlp|feed_?forward|ffn|(^|\.)fc_?(1|2|in|out)$", re.IGNORECASE)
ROUTERS = frozenset({"gate", "router", "shared_expert_gate"})
"""Linear layers that choose experts; an adapter on them would change which weights are used, not what these know."""


def target_layers(model: nn.Module, targets: tuple[str, ...] = ()) -> list[str]:
    """Return the full names of the linear layers that get an adapter.

    Args:
        model: A causal language model; it may lie on the meta device.
        targets: Layers' names in full, or their last parts; none: all linear layers of attention and MLP in the model's
            blocks, by name, else those that peft's table has for the model type.

    Raises:
        ValueError: If there are none; the model type, what was found and what was wanted are named.
    """
    linear = _block_layers(model)
    if targets:
        chosen = [name for name in linear if {name, name.rpartition(".")[2]} & {*targets}]
        missing = [
            target for target in targets if not any(target in (name, name.rpartition(".")[2]) for name in chosen)
        ]
    else:
        chosen, missing = _by_rule(linear) or _by_table(model, linear), []
    if missing or not chosen:
        layer_names = ", ".join(sorted({name.rpartition(".")[2] for name in linear})) or "none"
        wanted = (
            f"layers named {', '.join(missing)}"
            if missing
            else "attention and MLP layers that are known by name, or lora.targets"
        )
        raise ValueError(
            f"no adapter for model type {model_type(model)!r}: its blocks have these linear layers: {layer_names};"
            f" wanted {wanted}"
        )
    return chosen


def _block_layers(model: nn.Module) -> dict[str, str]:
    """Return full name -> name inside its block, of every linear layer of the repeated blocks, adapted or not."""
    from transformers.pytorch_utils import Conv1D

    names = [
        name.removesuffix(".base_layer")
        for name, layer in model.named_modules()
        if isinstance(layer, (nn.Linear, Conv1D)) and ".lora_" not in name
    ]
    inner = {name: re.search(r"\.\d+\.(.+)$", name) for name in names}
    return {name: match[1] for name, match in inner.items() if match}


def _by_rule(linear: Mapping[str, str]) -> list[str]:
    """Return all layers of attention and MLP, or nothing where either is not found."""
    attention = [name for name, inner in linear.items() if ATTENTION.search(inner)]
    forward = [
        name for name, inner in linear.items() if FEED_FORWARD.search(inner) and inner.rpartition(".")[2] not in ROUTERS
    ]
    return [name for name in linear if name in {*attention, *forward}] if attention and forward else []


def _by_table(model: nn.Module, linear: Mapping[str, str]) -> list[str]:
    """Return the layers that peft itself takes for this model type."""
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as TABLE

    targets = TABLE.get(model_type(model), ())
    return [] if isinstance(targets, str) else [name for name in linear if name.rpartition(".")[2] in targets]


def check_adaptable(model: nn.Module, config: LoraConfig) -> list[str]:
    """Return the names of the layers that get an adapter.

    Raises:
        ValueError: If there are none, or the rank is above what one of them can have.
    """
    chosen = target_layers(model, config.targets)
    sides = {name: min(model.get_submodule(name).weight.shape) for name in chosen}
    smallest = min(sides, key=lambda name: sides[name])
    if not 1 <= config.rank <= sides[smallest]:
        shape = " x ".join(str(side) for side in model.get_submodule(smallest).weight.shape)
        raise ValueError(
            f"lora.rank is {config.rank}, and layer {smallest} is {shape}; wanted a rank from 1 to {sides[smallest]}"
        )
    return chosen
