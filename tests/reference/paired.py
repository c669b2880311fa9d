"""Paired differences by enumeration and exact fractions: slow and obvious."""

import itertools
import math
from fractions import Fraction

import numpy as np


def standard_error(differences: list[float]) -> float:
    n = len(differences)
    mean = math.fsum(differences) / n
    return math.sqrt(math.fsum((value - mean) ** 2 for value in differences) / (n - 1) / n)


def mcnemar(wins: int, losses: int) -> float:
    """Return the probability of a split at least as uneven when each discordant pair is a fair coin."""
    n, uneven = wins + losses, abs(wins - losses)
    return float(
        sum(Fraction(math.comb(n, heads), 2**n) for heads in range(n + 1) if abs(heads - (n - heads)) >= uneven)
    )


def sign_flip(differences: list[float]) -> float:
    """Return the share of all sign patterns whose |sum| is at least the one observed."""
    observed = abs(math.fsum(differences))
    sums = [
        abs(math.fsum(s * value for s, value in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    return sum(found > observed or math.isclose(found, observed, rel_tol=1e-9) for found in sums) / len(sums)


def drawn_sign_flip(differences: list[float], flips: int, seed: int) -> float:
    """Return (1 + flips as large) / (1 + flips), flips drawn one after the other, heads a plus."""
    generator, observed = np.random.default_rng(seed), abs(math.fsum(differences))
    signs = (2 * generator.integers(0, 2, len(differences)) - 1 for _ in range(flips))
    sums = (abs(math.fsum(s * value for s, value in zip(drawn.tolist(), differences, strict=True))) for drawn in signs)
    return (1 + sum(found > observed or math.isclose(found, observed, rel_tol=1e-9) for found in sums)) / (1 + flips)


def cluster_means(differences: list[float], clusters: list[str]) -> list[float]:
    """Return the mean of every sample of whole clusters with repetition, each as likely as the others."""
    groups = [
        [value for value, name in zip(differences, clusters, strict=True) if name == cluster]
        for cluster in dict.fromkeys(clusters)
    ]
    drawn = itertools.product(groups, repeat=len(groups))
    return [math.fsum(itertools.chain(*sample)) / sum(map(len, sample)) for sample in drawn]
