"""Trigrams restated: every probability is counted anew, by looking at every place of the text.

A text is a list of rows, each of them its tokens and, for every place, whether what it predicts counts.
"""

import math

STRENGTH = 8.0


def whole(rows):
    """A text of which everything counts."""
    return [(row, [True] * len(row)) for row in rows]


def probability(text, vocabulary: int, context: tuple[int, ...], token: int) -> float:
    """p(token | context) by MacKay and Peto's recursion."""
    followers = []
    for row, counts in text:
        for at in range(max(1, len(context)), len(row)):
            if counts[at - 1] and tuple(row[at - len(context) : at]) == context:
                followers.append(row[at])
    shorter = 1.0 / vocabulary if not context else probability(text, vocabulary, context[1:], token)
    return (followers.count(token) + STRENGTH * shorter) / (len(followers) + STRENGTH)


def surprisal(text, vocabulary: int, row) -> list[float]:
    """-log p of every token of a row after the two before it."""
    return [
        -math.log(probability(text, vocabulary, tuple(row[max(0, at - 2) : at]), row[at])) for at in range(len(row))
    ]
