"""C = E[k k^T]: the second moment, not centred, of what the MLPs' output matrices read over text, all layers in one
pass.

Read until it has converged: C over all tokens and C over the first half of them differ by little. Few tokens are
enough, since what an edit needs of C is its large directions (Gupta et al. 2025, arXiv:2506.04226: under 0.3 % of the
usual 100,000 texts). Sums are float64; C + ridge * mean(diag C) * I is factored by Cholesky, which fails unless it is
positive definite.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tasks.algorithms.models.architectures import decoder_layers, mlp_output
from tasks.algorithms.models.heads import last_hidden
from tasks.algorithms.shapes import Float, Int
from tasks.settings.rank_one_editing import SecondMomentConfig


@dataclass(frozen=True, kw_only=True)
class SecondMoments:
    """C of every layer."""

    matrices: Float[Tensor, "layers inner inner"]
    """Float64, in squared activations, without ridge."""
    tokens: int
    change: float
    """How much the second half of the tokens changed C: the largest of all layers, relative in Frobenius norm."""
    converged: bool


def second_moments(
    model: nn.Module,
    batches: Iterator[tuple[Int[Tensor, "rows seq"], Int[Tensor, "rows seq"]]],
    config: SecondMomentConfig,
    on_batch: Callable[[int], None] = lambda tokens: None,
) -> SecondMoments:
    """Read text until C has converged, or all of it.

    Args:
        model: A causal language model of a known type.
        batches: Token ids and mask.
        config: When to stop.
        on_batch: Called after each batch with the tokens read.

    Raises:
        ValueError: If there is no text.
    """
    layers = list(range(len(decoder_layers(model))))
    inner = _inner_size(model)
    total = torch.zeros(len(layers), inner, inner, dtype=torch.float64, device=next(model.parameters()).device)
    tokens, half, half_tokens, change = 0, total.clone(), 0, float("inf")
    for ids, mask in batches:
        total += _outer_products(model, ids, mask, layers)
        tokens += int(mask.sum())
        on_batch(tokens)
        if tokens >= 2 * half_tokens and half_tokens:
            change = _change(half / half_tokens, total / tokens)
            half, half_tokens = total.clone(), tokens
        elif not half_tokens:
            half, half_tokens = total.clone(), tokens
        if tokens >= config.most_tokens or (tokens >= config.least_tokens and change <= config.tolerance):
            break
    if not tokens:
        raise ValueError("there is no text to read for second moments; wanted at least one token")
    return SecondMoments(matrices=total / tokens, tokens=tokens, change=change, converged=change <= config.tolerance)


def cholesky(moment: Float[Tensor, "inner inner"], ridge: float) -> Float[Tensor, "inner inner"]:
    """Return the lower Cholesky factor of C + ridge * mean(diag C) * I, float64.

    Raises:
        ValueError: If it is not positive definite: too little text, or no ridge.
    """
    moment = moment.double()
    added = ridge * moment.diagonal().mean() * torch.eye(len(moment), dtype=torch.float64, device=moment.device)
    factor, failed = torch.linalg.cholesky_ex(moment + added)
    if failed:
        raise ValueError(
            f"C is not positive definite with a ridge of {ridge:g}; wanted more text (second_moments.least_tokens) or a"
            " larger second_moments.ridge"
        )
    return factor


def solver(factor: Float[Tensor, "inner inner"]) -> Callable[[Tensor], Tensor]:
    """Return x -> C^-1 x for a vector or the columns of a matrix, in float64."""

    def solve(right: Tensor) -> Tensor:
        columns = right.double().to(factor.device)
        solved = torch.cholesky_solve(columns[:, None] if columns.dim() == 1 else columns, factor)
        return solved[:, 0] if columns.dim() == 1 else solved

    return solve


def text_batches(
    rows: Sequence[Sequence[int]], config: SecondMomentConfig, filler: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Cut token rows to `block_size`, and yield them in batches in a seeded order, padded on the right."""
    cut = [row[start : start + config.block_size] for row in rows for start in range(0, len(row), config.block_size)]
    order = torch.randperm(len(cut), generator=torch.Generator().manual_seed(config.seed)).tolist()
    for start in range(0, len(order), config.batch_rows):
        batch = [cut[index] for index in order[start : start + config.batch_rows]]
        longest = max(map(len, batch))
        ids = torch.tensor([list(row) + [filler] * (longest - len(row)) for row in batch], device=device)
        yield ids, torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in batch], device=device)


@torch.no_grad()
def _outer_products(model: nn.Module, ids: Tensor, mask: Tensor, layers: list[int]) -> Float[Tensor, "layers i j"]:
    """Return the sums of k k^T over the tokens of a batch."""
    sums: dict[int, Tensor] = {}
    counted = mask.bool()

    def note(layer: int) -> Callable:
        def hook(module: nn.Module, inputs: tuple) -> None:
            keys = inputs[0].reshape(*mask.shape, -1)[counted].double()
            sums[layer] = keys.T @ keys

        return hook

    with ExitStack() as hooks:
        for layer in layers:
            hooks.callback(mlp_output(model, layer).register_forward_pre_hook(note(layer)).remove)
        last_hidden(model, ids, mask)
    return torch.stack([sums[layer] for layer in layers])


def _inner_size(model: nn.Module) -> int:
    """Return how many numbers a layer's output matrix reads."""
    matrix = mlp_output(model, 0)
    return getattr(matrix, "in_features", None) or matrix.weight.shape[0]


def _change(before: Float[Tensor, "layers i j"], after: Float[Tensor, "layers i j"]) -> float:
    """Return the largest relative change of a layer's C, in Frobenius norm."""
    return ((after - before).flatten(1).norm(dim=1) / after.flatten(1).norm(dim=1)).max().item()
