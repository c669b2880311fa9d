"""Paired differences: two models on the same items, or two runs under the same seeds.

The difference of each pair removes what both have in common, the difficulty of the item, so that far smaller effects show than between
two means with their own errors.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FLIPS = 10_000
"""Random sign flips, where there are too many to try them all."""
RESAMPLES = 2_000
"""Bootstrap samples."""
EXACT_FLIPS = 14
"""Up to so many differences that are not zero, all 2**n sign flips are tried."""


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """What is known of the mean of a - b."""

    n: int
    """Pairs."""
    difference: float
    """Mean of a - b."""
    standard_error: float
    """Its standard error; not a number where there is one pair or one cluster."""
    ci95: tuple[float, float]
    """95 % interval of the difference; not numbers where there is one pair or one cluster."""
    p_value: float
    """Two-sided, of the hypothesis that a and b could be exchanged."""


def paired_difference(
    a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray, clusters: Sequence[object] | None = None, seed: int = 0
) -> PairedDifference:
    """Compare two vectors over the same items.

    Args:
        a: One number an item.
        b: One number an item, in the same order.
        clusters: The cluster of each item (the fact that several prompts ask for); items of one cluster are not independent.
        seed: Seed of the draws.

    Returns:
        Without clusters: standard error and interval of the mean from Student's t; p-value of the exact McNemar test where all numbers
        are 0 or 1, else of the sign-flip permutation test. With clusters: error and percentile interval of the cluster bootstrap;
        p-value of sign flips of whole clusters.

    Raises:
        ValueError: If the lengths differ, there is no pair, or a number is not finite.

    Source:
        McNemar 1947 (exact form: binomial test on the discordant pairs); sign flips: Fisher's randomisation test for paired data.
    """
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    _check(first, second, clusters)
    differences = first - second
    if clusters is not None:
        return _clustered(differences, clusters, seed)
    n, mean = len(differences), float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    reach = student_t(n - 1) * error if n > 1 else math.nan
    binary = bool(np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all())
    p = mcnemar(int((differences > 0).sum()), int((differences < 0).sum())) if binary else sign_flip(differences, seed)
    return PairedDifference(n=n, difference=mean, standard_error=error, ci95=(mean - reach, mean + reach), p_value=p)


def _check(first: np.ndarray, second: np.ndarray, clusters: Sequence[object] | None) -> None:
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise ValueError(f"paired numbers have shapes {first.shape} and {second.shape}; wanted two vectors of one length >= 1")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("paired numbers hold some that are not finite; wanted finite numbers")
    if clusters is not None and len(clusters) != len(first):
        raise ValueError(f"there are {len(clusters)} clusters for {len(first)} pairs; wanted one for each")


def _clustered(differences: np.ndarray, clusters: Sequence[object], seed: int) -> PairedDifference:
    places: dict[object, int] = {}
    which = np.array([places.setdefault(cluster, len(places)) for cluster in clusters])
    sums, counts = np.bincount(which, weights=differences), np.bincount(which)
    error, low, high = math.nan, math.nan, math.nan
    if len(sums) > 1:
        draws = np.random.default_rng(seed).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=RESAMPLES)
        means = (draws @ sums) / (draws @ counts)
        error, (low, high) = float(means.std(ddof=1)), np.percentile(means, [2.5, 97.5])
    mean = float(differences.mean())
    return PairedDifference(n=len(differences), difference=mean, standard_error=error, ci95=(float(low), float(high)), p_value=sign_flip(sums, seed))


def mcnemar(wins: int, losses: int) -> float:
    """Return the exact two-sided p-value of McNemar's test: `wins` and `losses` are the discordant pairs.

    Under exchange each is a fair coin: p = min(1, 2 * sum_{k <= min(wins, losses)} C(n, k) / 2**n), n = wins + losses.
    """
    n, term, total = wins + losses, 1, 0
    for k in range(min(wins, losses) + 1):
        total += term
        term = term * (n - k) // (k + 1)
    return min(1.0, 2 * total / 2**n)


def sign_flip(differences: np.ndarray, seed: int = 0) -> float:
    """Return the two-sided p-value of the sign-flip test: how often |sum| is as large when each difference takes either sign.

    All flips are tried where there are at most `EXACT_FLIPS` differences other than 0; else `FLIPS` random ones, and the p-value is
    (1 + as large) / (1 + flips), so that it is never 0.
    """
    found = differences[differences != 0]
    observed = abs(float(found.sum())) * (1 - 1e-12)  # sums of the same numbers in another order count as equal
    if len(found) <= EXACT_FLIPS:
        signs = 1 - 2 * ((np.arange(2 ** len(found))[:, None] >> np.arange(len(found))) & 1)
        return float((np.abs(signs @ found) >= observed).mean())
    generator = np.random.default_rng(seed)
    large = sum(abs(float(found @ (2 * generator.integers(0, 2, len(found)) - 1))) >= observed for _ in range(FLIPS))
    return (1 + large) / (1 + FLIPS)


def student_t(degrees: int, level: float = 0.95) -> float:
    """Return the half-width of Student's t interval in standard errors: P(|T| <= t) = level.

    With t = sqrt(degrees) * tan(angle) the density is proportional to cos(angle)**(degrees - 1) on [0, pi/2].
    """
    width = min(math.pi / 2, 12 / math.sqrt(degrees))  # beyond lies nothing that float64 could hold
    angles = np.linspace(0.0, width, 200_001)
    density = np.cos(angles) ** (degrees - 1)
    share = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return math.sqrt(degrees) * math.tan(float(np.interp(level, share / share[-1], angles)))
