"""Trigrams restated: every probability is counted anew, by looking at every place of the text."""

import math

STRENGTH = 8.0


def probability(rows, vocabulary: int, context: tuple[int, ...], token: int) -> float:
    """p(token | context) by MacKay and Peto's recursion;."""
    followers = []
    for row in rows:
        for at in range(len(context), len(row)):
            if tuple(row[at - len(context) : at]) == context:
                followers.append(row[at])
    shorter = 1.0 / vocabulary if not context else probability(rows, vocabulary, context[1:], token)
    return (followers.count(token) + STRENGTH * shorter) / (len(followers) + STRENGTH)


def surprisal(rows, vocabulary: int, row) -> list[float]:
    """-log p of every token of a row after the two before it."""
    return [
        -math.log(probability(rows, vocabulary, tuple(row[max(0, at - 2) : at]), row[at])) for at in range(len(row))
    ]
