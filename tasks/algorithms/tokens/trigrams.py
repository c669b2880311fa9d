"""How surprising a token is to someone who knows a text by its last two tokens alone.

    p_0(t)       = 1 / vocabulary
    p_n(t | c)   = (count(c, t) + STRENGTH p_{n-1}(t | shorter c)) / (count(c) + STRENGTH),   n = 1, 2, 3

Source: MacKay and Peto 1995, "A hierarchical Dirichlet language model", with one strength for all contexts.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

STRENGTH = 8.0
"""Tokens seen after a context that count as much as what shorter contexts say, > 0."""
ORDER = 3
Run = tuple[int, ...]


def surprisals(rows: Sequence[Sequence[int]], text: Iterable[Sequence[int]], vocabulary: int) -> list[list[float]]:
    """Return -log p of every token after the two before it in its row, in nats; the first tokens of a row have shorter
    contexts.

    Args:
        rows: Token ids of what is asked about.
        text: Token ids of what is known, read once; no run goes from one of its rows into the next. Memory grows with
            `rows`, not with it.
        vocabulary: How many tokens there are, >= 1.
    """
    asked = {run for row in rows for length in range(1, ORDER + 1) for run in _runs(row, length)}
    contexts = {run[:-1] for run in asked}
    seen: Counter[Run] = Counter()
    followed: Counter[Run] = Counter()
    for row in text:
        for length in range(1, ORDER + 1):
            seen.update(filter(asked.__contains__, _runs(row, length)))
            followed.update(filter(contexts.__contains__, (run[:-1] for run in _runs(row, length))))

    def probability(run: Run) -> float:
        shorter = probability(run[1:]) if len(run) > 1 else 1.0 / vocabulary
        return (seen[run] + STRENGTH * shorter) / (followed[run[:-1]] + STRENGTH)

    return [
        [-math.log(probability(tuple(row[max(0, at + 1 - ORDER) : at + 1]))) for at in range(len(row))] for row in rows
    ]


def _runs(row: Sequence[int], length: int) -> Iterator[Run]:
    """Return every run of `length` neighbouring tokens."""
    return zip(*(row[start:] for start in range(length)), strict=False)
