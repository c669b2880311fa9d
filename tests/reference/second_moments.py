"""E[k k^T] the plain way: one text at a time, one token after the other, in float64 (METHODS, section 2)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tests.reference.rome import output_matrix


def second_moment(model: nn.Module, texts: Sequence[Sequence[int]], layer: int) -> Tensor:
    """The mean over all tokens of k k^T, (inner, inner)."""
    keys: list[Tensor] = []
    handle = output_matrix(model, layer).register_forward_pre_hook(
        lambda module, given: keys.extend(given[0][0].double())
    )
    with torch.no_grad():
        for text in texts:
            model(input_ids=torch.tensor([list(text)]))
    handle.remove()
    total = torch.zeros(len(keys[0]), len(keys[0]), dtype=torch.float64)
    for key in keys:
        total += torch.outer(key, key)
    return total / len(keys)


def with_ridge(moment: Tensor, ridge: float) -> Tensor:
    """C + ridge * mean(diag C) * I."""
    return moment + ridge * moment.trace() / len(moment) * torch.eye(len(moment), dtype=torch.float64)
