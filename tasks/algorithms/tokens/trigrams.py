"""What someone expects who knows a text by its last two tokens alone, and how surprising a token is to them.

    p_0(t)       = 1 / vocabulary
    p_n(t | c)   = (count(c, t) + STRENGTH p_{n-1}(t | shorter c)) / (count(c) + STRENGTH),   n = 1, 2, 3

Source: MacKay and Peto 1995, "A hierarchical Dirichlet language model", with one strength for all contexts.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.algorithms.shapes import Float, Int
from tasks.algorithms.tokens.text_blocks import TextBlock

STRENGTH = 8.0
"""Tokens seen after a context that count as much as what shorter contexts say, > 0."""
ORDER = 3
Run = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A distribution over the vocabulary at each of some positions: sum of entries that few tokens have, and a share
    of one that all have.
    """

    everywhere: Float[Tensor, " vocab"]
    """p_1."""
    share: Float[Tensor, " positions"]
    """How much of `everywhere` each position has."""
    positions: Int[Tensor, " entries"]
    """At which position an entry is, ascending."""
    tokens: Int[Tensor, " entries"]
    entries: Float[Tensor, " entries"]
    """How likely each entry makes its token there, beside `everywhere`."""

    def to(self, device: torch.device | str) -> "Expected":
        """Return the same on a device."""
        return Expected(**{name: tensor.to(device) for name, tensor in vars(self).items()})


class Trigrams:
    """Which tokens follow in a text after the contexts of some rows; memory grows with these rows."""

    def __init__(self, rows: Iterable[Sequence[int]], text: Iterable[TextBlock], vocabulary: int) -> None:
        """Count.

        Args:
            rows: Token ids of what will be asked about.
            text: What is known, read once; no context goes from one of its blocks into the next. Tokens count whose
                prediction is supervised: what answers say is not expected to read like questions.
            vocabulary: How many tokens there are, >= 1.
        """
        self._vocabulary = vocabulary
        self._following: dict[Run, Counter[int]] = {(): Counter()}
        for row in rows:
            for at in range(len(row)):
                for length in range(1, ORDER):
                    self._following.setdefault(tuple(row[max(0, at + 1 - length) : at + 1]), Counter())
        for block in text:
            for at in itertools.compress(range(1, len(block.ids)), block.supervised):
                for length in range(min(ORDER, at + 1)):
                    if (found := self._following.get(block.ids[at - length : at])) is not None:
                        found[block.ids[at]] += 1
        self._seen = {context: found.total() for context, found in self._following.items()}
        self._entries = {
            context: (torch.tensor([*found]), torch.tensor([*found.values()], dtype=torch.float32))
            for context, found in self._following.items()
            if context and found
        }
        counts = torch.zeros(vocabulary)
        for token, count in self._following[()].items():
            counts[token] = count
        self._everywhere = (counts + STRENGTH / vocabulary) / (self._seen[()] + STRENGTH)

    def surprisals(self, row: Sequence[int]) -> list[float]:
        """Return -log p of every token of one of the rows after the two before it, in nats; the first tokens have
        shorter contexts.
        """
        return [
            -math.log(self._probability(tuple(row[max(0, at + 1 - ORDER) : at]), row[at])) for at in range(len(row))
        ]

    def _probability(self, context: Run, token: int) -> float:
        shorter = self._probability(context[1:], token) if context else 1.0 / self._vocabulary
        return (self._following[context][token] + STRENGTH * shorter) / (self._seen[context] + STRENGTH)

    def expected(self, contexts: Sequence[Run]) -> Expected:
        """Return what is expected after each context: the last two tokens of some place in the rows, or the first."""
        shares, positions, tokens, entries = [], [], [], []
        for position, whole in enumerate(contexts):
            share, context = 1.0, whole
            while context:
                if context in self._entries:
                    following, counts = self._entries[context]
                    positions.append(torch.full_like(following, position))
                    tokens.append(following)
                    entries.append(counts * (share / (self._seen[context] + STRENGTH)))
                share *= STRENGTH / (self._seen[context] + STRENGTH)
                context = context[1:]
            shares.append(share)
        return Expected(
            everywhere=self._everywhere,
            share=torch.tensor(shares),
            positions=torch.cat([torch.empty(0, dtype=torch.long), *positions]),
            tokens=torch.cat([torch.empty(0, dtype=torch.long), *tokens]),
            entries=torch.cat([torch.empty(0), *entries]),
        )
