"""Updates added entry by entry, in float64."""

from collections.abc import Sequence

import torch
from torch import Tensor


def added(weight: Tensor, updates: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Return W + sum over updates and ranks of u v^T.

    Args:
        weight: (hidden, inner).
        updates: U (hidden, rank) and V (inner, rank) of each.
    """
    total = weight.double().clone()
    for left, right in updates:
        for rank in range(left.shape[1]):
            for row in range(total.shape[0]):
                for column in range(total.shape[1]):
                    total[row, column] += left[row, rank].double() * right[column, rank].double()
    return total


def low_rank_path(inputs: Tensor, down: Tensor, up: Tensor, alpha: float) -> Tensor:
    """Return (alpha / r) x A^T B^T, what an adapter adds to its layer's output.

    Args:
        inputs: (rows, inner).
        down: A, (rank, inner).
        up: B, (hidden, rank).
        alpha: Numerator of the scale.
    """
    rows = []
    for row in inputs.double():
        inner = torch.stack([(line.double() * row).sum() for line in down])
        rows.append(torch.stack([(line.double() * inner).sum() for line in up]) * (alpha / down.shape[0]))
    return torch.stack(rows)
