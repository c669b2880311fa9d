"""MEMIT restated in float64: whole forward passes of one row, the inverse made (METHODS, section 2;
arXiv:2210.07229).
"""

import copy

import torch
from torch import Tensor

from tasks.algorithms.editing.contexts import Rewrite


def states(model: torch.nn.Module, rewrite: Rewrite, layer: int, last: int) -> tuple[Tensor, Tensor]:
    """Return k of a layer and h of the last, each the mean over contexts, of a GPT-2 in float64."""
    keys, hidden = [], []
    for row in rewrite.rows[:-1]:
        handle = model.transformer.h[layer].mlp.c_proj.register_forward_pre_hook(
            lambda module, given, at=row.at: keys.append(given[0][0, at])
        )
        after = model.transformer.h[last].register_forward_hook(
            lambda module, given, made, at=row.at: hidden.append((made if isinstance(made, Tensor) else made[0])[0, at])
        )
        with torch.no_grad():
            model(input_ids=torch.tensor([row.ids]))
        handle.remove()
        after.remove()
    return sum(keys) / len(keys), sum(hidden) / len(hidden)


def memit(
    model: torch.nn.Module,
    rewrites: list[Rewrite],
    deltas: list[Tensor],
    layers: list[int],
    moments: list[Tensor],
    weight: float,
) -> list[Tensor]:
    """Return the change of each layer's matrix, (hidden, inner)."""
    model = copy.deepcopy(model).double()
    wanted = [
        states(model, rewrite, layers[-1], layers[-1])[1] + delta.double()
        for rewrite, delta in zip(rewrites, deltas, strict=True)
    ]
    changes = []
    for number, (layer, moment) in enumerate(zip(layers, moments, strict=True)):
        met = [states(model, rewrite, layer, layers[-1]) for rewrite in rewrites]
        left = len(layers) - number
        total, spread = weight * moment.double(), 0.0
        for (key, now), aim in zip(met, wanted, strict=True):
            total = total + torch.outer(key, key)
            spread = spread + torch.outer((aim - now) / left, key)
        changes.append(spread @ torch.linalg.inv(total))
        with torch.no_grad():
            model.transformer.h[layer].mlp.c_proj.weight.add_(changes[-1].T)
    return changes
