"""Paired differences: two models on the same items, or two runs under the same seeds.

The difference of each pair removes what both have in common, the difficulty of the item, so that far smaller effects
show than between two means with their own errors.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FLIPS = 10_000
"""Random sign flips, where there are too many to try them all."""
SIGNS = 1_000_000
"""Signs drawn at once, 8 bytes each."""
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
    a: Sequence[float] | np.ndarray,
    b: Sequence[float] | np.ndarray,
    clusters: Sequence[object] | None = None,
    seed: int = 0,
) -> PairedDifference:
    """Compare two vectors over the same items.

    Args:
        a: One number an item.
        b: One number an item, in the same order.
        clusters: The cluster of each item (the fact that several prompts ask for); items of one cluster are not
            independent.
        seed: Seed of the draws.

    Returns:
        Without clusters: standard error and interval of the mean from Student's t; p-value of the exact McNemar test
            where all numbers
        are 0 or 1, else of the sign-flip permutation test. With clusters: error and percentile interval of the cluster
        bootstrap; p-value of sign flips of whole clusters.

    Raises:
        ValueError: If the lengths differ, there is no pair, or a number is not finite.

    Source:
        McNemar 1947 (exact form: binomial test on the discordant pairs); sign flips: Fisher's randomisation test for
        paired data.
    """
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    _check(first, second, clusters)
    differences = first - second
    if clusters is not None:
        return _clustered(differences, clusters, seed)
    n, mean = len(differences), float(differences.mean())
    error, reach = _students(differences)
    binary = bool(np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all())
    p = mcnemar(int((differences > 0).sum()), int((differences < 0).sum())) if binary else sign_flip(differences, seed)
    return PairedDifference(n=n, difference=mean, standard_error=error, ci95=(mean - reach, mean + reach), p_value=p)


def _check(first: np.ndarray, second: np.ndarray, clusters: Sequence[object] | None) -> None:
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise ValueError(
            f"paired numbers have shapes {first.shape} and {second.shape}; wanted two vectors of one length >= 1"
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("paired numbers hold some that are not finite; wanted finite numbers")
    if clusters is not None and len(clusters) != len(first):
        raise ValueError(f"there are {len(clusters)} clusters for {len(first)} pairs; wanted one for each")


def _students(differences: np.ndarray) -> tuple[float, float]:
    """Return the standard error of the mean, and how far its 95 % interval reaches to either side by Student's t."""
    from scipy.stats import sem, t

    if len(differences) < 2:
        return math.nan, math.nan
    error = float(sem(differences))
    return error, float(t.ppf(0.975, len(differences) - 1)) * error


def _clustered(differences: np.ndarray, clusters: Sequence[object], seed: int) -> PairedDifference:
    """The bootstrap is ours: neither `scipy.stats` nor scikit-learn draws whole clusters."""
    places: dict[object, int] = {}
    cluster_of_item = np.array([places.setdefault(cluster, len(places)) for cluster in clusters])
    sums, counts = np.bincount(cluster_of_item, weights=differences), np.bincount(cluster_of_item)
    error, low, high = math.nan, math.nan, math.nan
    if len(sums) > 1:
        draws = np.random.default_rng(seed).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=RESAMPLES)
        means = (draws @ sums) / (draws @ counts)
        error, (low, high) = float(means.std(ddof=1)), np.percentile(means, [2.5, 97.5])
    mean = float(differences.mean())
    return PairedDifference(
        n=len(differences),
        difference=mean,
        standard_error=error,
        ci95=(float(low), float(high)),
        p_value=sign_flip(sums, seed),
    )


def mcnemar(wins: int, losses: int) -> float:
    """Return the exact two-sided p-value of McNemar's test: under exchange each discordant pair is a fair coin."""
    from scipy.stats import binomtest

    if wins + losses == 0:
        return 1.0
    fewer = min(wins, losses)  # from one side always, so that exchange changes not even the last digit
    return float(binomtest(fewer, wins + losses).pvalue)


def sign_flip(differences: np.ndarray, seed: int = 0) -> float:
    """Return the two-sided p-value of the sign-flip test: how often |sum| is as large when each difference takes either
    sign.

    All flips are tried where there are at most `EXACT_FLIPS` differences other than 0; else `FLIPS` random ones, and
    the p-value is (1 + as large) / (1 + flips), so that it is never 0.
    """
    nonzero = differences[differences != 0]
    if len(nonzero) < 2:  # a single number is as large with either sign; scipy wants two
        return 1.0
    shares = nonzero / np.abs(nonzero).sum()
    return _every_flip(shares) if len(nonzero) <= EXACT_FLIPS else _random_flips(shares, seed)


def _every_flip(shares: np.ndarray) -> float:
    from scipy.stats import permutation_test

    result = permutation_test(
        (shares,), _magnitude, permutation_type="samples", alternative="greater", n_resamples=2**EXACT_FLIPS
    )
    return float(result.pvalue)


def _random_flips(shares: np.ndarray, seed: int) -> float:
    """`permutation_test` can draw them too, but shuffles the two signs of every number by itself: ten times slower."""
    from scipy.stats import monte_carlo_test

    generator = np.random.default_rng(seed)
    result = monte_carlo_test(
        shares,
        lambda size: shares * generator.choice((-1, 1), size),
        _magnitude,
        alternative="greater",
        n_resamples=FLIPS,
        batch=max(1, SIGNS // len(shares)),
    )
    return float(result.pvalue)


def _magnitude(shares: np.ndarray, axis: int) -> np.ndarray | np.float64:
    """Rounded: sums of the same numbers in another order count as equal; scipy's tolerance misses those that cancel."""
    return np.round(np.abs(shares.sum(axis)), 12)
