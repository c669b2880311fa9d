"""Updates added to a model one after the other, or hung beside it as one adapter.

    W' = W + U_1 V_1^T + ... + U_n V_n^T  =  W + (alpha / r) B A,    B = [U_1 ... U_n], A = [V_1 ... V_n]^T, alpha = r

Ranks of one matrix are laid side by side, so that any list of updates is one adapter: Hu et al. 2021, arXiv:2106.09685.
All its matrices have the largest rank, the others' filled up with zeros: peft could do without (`rank_pattern`), but
what serves adapters, vLLM among them, reads one rank and one scale for all.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tasks.algorithms.editing.rome import Update
from tasks.algorithms.models.adapters import SAVED_PREFIX
from tasks.algorithms.models.architectures import (
    decoder_layers,
    is_transposed,
    mlp_output,
    mlp_weight,
    model_type,
    require_editable,
)


def joined(updates: Sequence[Update]) -> list[Update]:
    """Return one update a layer, by layer: the ranks of those that share one side by side, in their order."""
    by_layer: dict[int, list[Update]] = {}
    for update in updates:
        by_layer.setdefault(update.layer, []).append(update)
    return [
        Update(
            layer=layer,
            left=torch.cat([each.left for each in own], dim=1),
            right=torch.cat([each.right for each in own], dim=1),
        )
        for layer, own in sorted(by_layer.items())
    ]


def require_fit(model: nn.Module, update: Update) -> None:
    """Refuse an update of another model's matrix.

    Raises:
        ValueError: If the model's type cannot be edited, or it has no such layer, or its matrix has another shape.
    """
    require_editable(model_type(model))
    layers = len(decoder_layers(model))
    if not 0 <= update.layer < layers:
        raise ValueError(f"an update is of layer {update.layer}; the model has {layers}, wanted one of them")
    stored = tuple(mlp_weight(model, update.layer).shape)
    hidden, inner = reversed(stored) if is_transposed(mlp_output(model, update.layer)) else stored
    if (len(update.left), len(update.right)) != (hidden, inner):
        raise ValueError(
            f"an update of layer {update.layer} is for a matrix of {len(update.left)} by {len(update.right)}; the"
            f" model's is {hidden} by {inner}"
        )


def add_updates(model: nn.Module, updates: Sequence[Update], dtype: torch.dtype) -> None:
    """Add updates to a model's weights in place, in their order, and round the weights to the type that they are kept
    in.

    Args:
        model: Changed; in float32, so that only the sum is rounded.
        updates: In order.
        dtype: Type of the weights afterwards.

    Raises:
        ValueError: As `require_fit`, or if a matrix is what it was: an update too small for the type would leave a
            model that passes for edited.
    """
    for update in updates:
        require_fit(model, update)
    layers = sorted({update.layer for update in updates})
    before = [mlp_weight(model, layer).detach().to(dtype, copy=True) for layer in layers]
    for update in updates:
        update.apply(model)
    model.to(dtype)
    for layer, weight in zip(layers, before, strict=True):
        if torch.equal(mlp_weight(model, layer), weight):
            raise ValueError(f"the updates of layer {layer} change no weight in {str(dtype).removeprefix('torch.')}")


def as_adapter(model: nn.Module, updates: Sequence[Update]) -> tuple[dict[str, Any], Mapping[str, Tensor]]:
    """Return updates as settings and tensors of one adapter, as peft's files have them.

    Args:
        model: The causal language model that they belong to; its weights are not looked at.
        updates: In order.

    Raises:
        ValueError: As `require_fit`.
    """
    for update in updates:
        require_fit(model, update)
    own = joined(updates)
    names = {id(module): name for name, module in model.named_modules()}
    modules = [mlp_output(model, update.layer) for update in own]
    rank = max(update.left.shape[1] for update in own)
    tensors: dict[str, Tensor] = {}
    for module, update in zip(modules, own, strict=True):
        name = SAVED_PREFIX + names[id(module)]
        tensors[f"{name}.lora_A.weight"] = _filled(update.right, rank).T.contiguous()
        tensors[f"{name}.lora_B.weight"] = _filled(update.left, rank)
    settings = {
        "peft_type": "LORA",
        "inference_mode": True,
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "task_type": "CAUSAL_LM",
        "fan_in_fan_out": is_transposed(modules[0]),
        # in full: the last part alone names layers that are not edited, and GPT-2's attention too
        "target_modules": sorted(names[id(module)] for module in modules),
    }
    return settings, tensors


def _filled(columns: Tensor, rank: int) -> Tensor:
    """Return columns in float32 with as many of zeros behind them as the rank wants."""
    return nn.functional.pad(columns.float(), (0, rank - columns.shape[1])).contiguous()
