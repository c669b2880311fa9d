"""Token metrics restated in float64, one row, one answer at a time (METHODS, section 5)."""

import math

import numpy as np


def token_statistics(logits, target: int) -> tuple[float, float, float, float]:
    """log p(target), argmax hit, and mean and standard deviation of log p under p, of one row."""
    row = [float(value) for value in logits]
    top = max(row)
    total = math.fsum(math.exp(value - top) for value in row)
    log_p = [value - top - math.log(total) for value in row]
    mean = math.fsum(math.exp(value) * value for value in log_p)
    variance = math.fsum(math.exp(value) * (value - mean) ** 2 for value in log_p)
    return log_p[target], float(row.index(top) == target), mean, math.sqrt(variance)


def truth_ratio(true_answer: list[float], false_answers: list[list[float]]) -> float:
    """Geometric mean over i of q(perturbed_i), over q(true), with q = p(answer) ** (1 / tokens), from token
    probabilities.
    """
    q = [float(np.prod(answer)) ** (1 / len(answer)) for answer in false_answers]
    return float(np.prod(q)) ** (1 / len(q)) / float(np.prod(true_answer)) ** (1 / len(true_answer))


def extraction_strength(hits: list[int]) -> float:
    """1 - k/n with the smallest k such that y[k:] is all right; k = n where even the last one is wrong."""
    n = len(hits)
    for k in range(n + 1):
        if all(hits[k:]):
            return 1 - k / n
    raise AssertionError("an empty rest is always right")
