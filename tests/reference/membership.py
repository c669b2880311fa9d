"""Membership scores and AUC restated in float64: loops over tokens, loops over pairs (METHODS, section 5)."""

import math
import zlib


def loss(log_p: list[float]) -> float:
    """Mean log-probability."""
    return math.fsum(log_p) / len(log_p)


def zlib_ratio(log_p: list[float], text: str) -> float:
    """Log-probability of the text over the length of its zlib stream."""
    return math.fsum(log_p) / len(zlib.compress(text.encode()))


def min_k(values: list[float], k: float = 0.4) -> float:
    """Mean of the k smallest share."""
    least = sorted(values)[: max(1, int(k * len(values)))]
    return math.fsum(least) / len(least)


def min_k_plus_plus(logits: list[list[float]], targets: list[int], k: float = 0.4) -> float:
    """Min-K of (log p(x) - E log p) / sqrt(Var log p) under the model's own distribution, from logits."""
    scores = []
    for row, target in zip(logits, targets, strict=True):
        total = math.log(math.fsum(math.exp(value) for value in row))
        log_p = [value - total for value in row]
        mean = math.fsum(math.exp(value) * value for value in log_p)
        variance = math.fsum(math.exp(value) * (value - mean) ** 2 for value in log_p)
        scores.append((log_p[target] - mean) / math.sqrt(variance))
    return min_k(scores, k)


def auc(members: list[float], others: list[float]) -> float:
    """Share of pairs in which the member is ahead; a tie counts half."""
    wins = [1.0 if member > other else 0.5 if member == other else 0.0 for member in members for other in others]
    return math.fsum(wins) / len(wins)
