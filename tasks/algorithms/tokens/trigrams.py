"""How surprising a token is to someone who knows a text by its last two tokens alone.

    p_0(t)       = 1 / vocabulary
    p_n(t | c)   = (count(c, t) + STRENGTH p_{n-1}(t | shorter c)) / (count(c) + STRENGTH),   n = 1, 2, 3

Source: MacKay and Peto 1995, "A hierarchical Dirichlet language model", with one strength for all contexts.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

STRENGTH = 8.0
"""Tokens seen after a context that count as much as what shorter contexts say, > 0."""
ORDER = 3


class Trigrams:
    """Counts of runs of one to three tokens."""

    def __init__(self, rows: Iterable[Sequence[int]], vocabulary: int) -> None:
        """Count.

        Args:
            rows: Token ids of the text; no run goes from one row into the next.
            vocabulary: How many tokens there are, >= 1.
        """
        self._vocabulary = vocabulary
        self._runs: Counter[tuple[int, ...]] = Counter()
        self._contexts: Counter[tuple[int, ...]] = Counter()
        for row in rows:
            for length in range(1, ORDER + 1):
                self._runs.update(zip(*(row[start:] for start in range(length)), strict=False))
        for run, count in self._runs.items():
            self._contexts[run[:-1]] += count

    def surprisal(self, row: Sequence[int]) -> list[float]:
        """Return -log p of every token after the two before it in its row, in nats; the first tokens of a row have
        shorter contexts.
        """
        return [-math.log(self._probability(row[max(0, at + 1 - ORDER) : at + 1])) for at in range(len(row))]

    def _probability(self, run: Sequence[int]) -> float:
        """Return p of the run's last token after the others."""
        probability = 1.0 / self._vocabulary
        for start in reversed(range(len(run))):
            part = tuple(run[start:])
            probability = (self._runs[part] + STRENGTH * probability) / (self._contexts[part[:-1]] + STRENGTH)
        return probability
