"""The token rows that an edit is made on: the prompt with its target after several beginnings, and the bare subject."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tasks.algorithms.models.activations import logits_of
from tasks.algorithms.models.heads import last_hidden
from tasks.algorithms.shapes import Int


@dataclass(frozen=True, kw_only=True)
class Row:
    """Tokens of one row."""

    ids: tuple[int, ...]
    at: int
    """Position of the subject's last token."""


@dataclass(frozen=True, kw_only=True)
class Rewrite:
    """One request as token rows."""

    rows: tuple[Row, ...]
    """The bare prompt first, then the prompt after each beginning, each with the target but for its last token; last
    the subject alone, as far as its last token."""
    target: tuple[int, ...]
    """Token ids of the new object."""

    @property
    def contexts(self) -> int:
        """How many rows hold the target."""
        return len(self.rows) - 1


def aligned(rows: Sequence[Row]) -> tuple[Int[Tensor, "rows seq"], Int[Tensor, "rows seq"], int]:
    """Return token ids and mask of rows whose subjects end at one position, and that position; padding on both
    sides.
    """
    split = max(row.at for row in rows)
    tail = max(len(row.ids) - row.at for row in rows)
    left = [split - row.at for row in rows]
    right = [tail - (len(row.ids) - row.at) for row in rows]
    padded = zip(rows, left, right, strict=True)
    ids = torch.tensor([[row.ids[0]] * before + list(row.ids) + [row.ids[-1]] * after for row, before, after in padded])
    padded = zip(rows, left, right, strict=True)
    mask = torch.tensor([[0] * before + [1] * len(row.ids) + [0] * after for row, before, after in padded])
    return ids, mask, split


@torch.no_grad()
def sample_beginnings(
    model: nn.Module, start: int, counts: Sequence[tuple[int, int]], seed: int
) -> list[tuple[int, ...]]:
    """Let the model begin texts by itself.

    Args:
        model: A causal language model.
        start: Token that a text begins with; it is not returned.
        counts: (texts, tokens of each).
        seed: Of the draws.

    Returns:
        Token ids, text by text; a function of weights, start, counts and seed.
    """
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    texts: list[tuple[int, ...]] = []
    for count, tokens in counts:
        if not count:
            continue
        ids = torch.full((count, 1), start, device=device)
        for _ in range(tokens):
            logits = logits_of(model, last_hidden(model, ids, torch.ones_like(ids))[:, -1])
            logits[:, start] = -torch.inf  # an end of text in the middle would part the beginning from the prompt
            drawn = torch.multinomial(logits.softmax(dim=-1), 1, generator=generator)
            ids = torch.cat([ids, drawn], dim=1)
        texts += [tuple(row) for row in ids[:, 1:].tolist()]
    return texts
