"""C = E[k k^T]: the second moment, not centred, of what the MLPs' output matrices read over text, all layers in one
pass.

Read until it has converged: C over every other row of text differs little from C over all. Few tokens are enough,
since what an edit needs of C is its large directions (Gupta et al. 2025, arXiv:2506.04226: under 0.3 % of the usual
100,000 texts). Sums are float64; C + ridge * mean(diag C) * I is factored by Cholesky, which fails unless it is
positive definite.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from tasks.algorithms.models.architectures import decoder_layers, mlp_output, model_type, require_editable
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
    """How far C of every other row is from C of all: the largest of all layers, relative in Frobenius norm; infinite
    for a single row."""
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
        ValueError: If there is no text, or the model's MLPs are no single matrices.
    """
    require_editable(model_type(model))
    sums = _Halves(model)
    for ids, mask in batches:
        sums.add(ids, mask)
        on_batch(sums.tokens)
        change = sums.change()
        if sums.tokens >= config.most_tokens or (sums.tokens >= config.least_tokens and change <= config.tolerance):
            break
    if not sums.tokens:
        raise ValueError("there is no text to read for second moments; wanted at least one token")
    return SecondMoments(
        matrices=sums.sums.sum(dim=0) / sums.tokens,
        tokens=sums.tokens,
        change=change,
        converged=change <= config.tolerance,
    )


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


class _Halves:
    """Sums of k k^T over the tokens of even and of odd rows, of each layer."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.depth, inner = model, len(decoder_layers(model)), _inner_size(model)
        device = next(model.parameters()).device
        self.sums = torch.zeros(2, self.depth, inner, inner, dtype=torch.float64, device=device)
        self.counts, self.rows = [0, 0], 0

    @property
    def tokens(self) -> int:
        return sum(self.counts)

    @torch.no_grad()
    def add(self, ids: Int[Tensor, "rows seq"], mask: Int[Tensor, "rows seq"]) -> None:
        """Read a batch."""
        odd = ((self.rows + torch.arange(len(ids), device=ids.device)) % 2).bool()[:, None]
        counted = [mask.bool() & ~odd, mask.bool() & odd]
        with ExitStack() as hooks:
            for layer in range(self.depth):
                hook = partial(self._note, layer, counted)
                hooks.callback(mlp_output(self.model, layer).register_forward_pre_hook(hook).remove)
            last_hidden(self.model, ids, mask)
        self.rows += len(ids)
        self.counts = [count + int(half.sum()) for count, half in zip(self.counts, counted, strict=True)]

    def _note(self, layer: int, counted: list[Tensor], module: nn.Module, inputs: tuple) -> None:
        keys = inputs[0].reshape(*counted[0].shape, -1)
        for into, half in zip(self.sums[:, layer], counted, strict=True):
            chosen = keys[half].double()
            into.addmm_(chosen.T, chosen)

    def change(self) -> float:
        """Return how far C of one half is from C of all: the largest of all layers, relative in Frobenius norm."""
        if not all(self.counts):
            return math.inf
        return max(self._change(even, odd) for even, odd in zip(*self.sums, strict=True))

    def _change(self, even: Float[Tensor, "i j"], odd: Float[Tensor, "i j"]) -> float:
        whole = (even + odd) / self.tokens
        return ((even / self.counts[0] - whole).norm() / whole.norm()).item()


def _inner_size(model: nn.Module) -> int:
    """Return how many numbers a layer's output matrix reads."""
    matrix = mlp_output(model, 0)
    return getattr(matrix, "in_features", None) or matrix.weight.shape[0]
