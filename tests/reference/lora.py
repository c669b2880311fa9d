"""A low-rank update of one matrix, restated slowly in float64."""

from torch import Tensor


def merged_weight(weight: Tensor, a: Tensor, b: Tensor, alpha: float, transposed: bool) -> Tensor:
    """Return W + (alpha / rank) B A entry by entry; `weight` is (out, in), or (in, out) where `transposed`."""
    weight, a, b = weight.detach(), a.detach(), b.detach()
    rank, out = a.shape[0], weight.double()
    for row in range(b.shape[0]):
        for column in range(a.shape[1]):
            update = sum(float(b[row, k]) * float(a[k, column]) for k in range(rank)) * alpha / rank
            out[(column, row) if transposed else (row, column)] += update
    return out
