"""Paired differences: worked by hand, against enumeration, and what must hold whatever the numbers."""

import math

import numpy as np
import pytest

from tasks.algorithms.verdicts.paired_tests import EXACT_FLIPS, FLIPS, mcnemar, paired_difference, sign_flip
from tests.reference import paired as reference


def test_binary_pairs_by_hand() -> None:
    found = paired_difference([1, 1, 1, 0, 1, 0, 0, 1], [0, 1, 0, 0, 0, 1, 0, 1])
    # differences 1 0 1 0 1 -1 0 0: mean 2/8; variance (4 - 8/16) / 7 = 1/2; error sqrt(1/2 / 8) = 1/4; t with 7
    # degrees 2.3646
    assert (found.n, found.difference, found.standard_error) == (8, 0.25, 0.25)
    assert found.ci95 == pytest.approx((0.25 - 0.25 * 2.364624, 0.25 + 0.25 * 2.364624), abs=1e-5)
    assert found.p_value == 2 * (1 + 4) / 16  # three wins, one loss


def test_real_pairs_by_hand() -> None:
    found = paired_difference([1.5, 2.5, 4.0], [0.5, 0.5, 1.0])
    assert (found.n, found.difference) == (3, 2.0)
    assert found.standard_error == pytest.approx(1 / math.sqrt(3))
    assert found.p_value == 2 / 8  # of the sums of +-1 +-2 +-3 only 6 and -6 are as far from 0


def test_clusters_by_hand() -> None:
    found = paired_difference([1, 1, 1, 1, 0], [0, 0, 0, 0, 1], ["x", "x", "y", "y", "z"])
    assert (found.n, found.difference) == (5, 0.6)
    # of the sums of +-2 +-2 +-1 four are 3 or more from 0; items alone would give 2 * 6 / 32
    assert found.p_value == 4 / 8


def test_the_exact_test_equals_the_sum_over_all_splits() -> None:
    for wins in range(9):
        for losses in range(9):
            assert mcnemar(wins, losses) == pytest.approx(reference.mcnemar(wins, losses), rel=1e-13)
    assert mcnemar(900, 1100) == pytest.approx(reference.mcnemar(900, 1100), rel=1e-12)
    assert mcnemar(0, 60) == pytest.approx(2 / 2**60, rel=1e-12)


def test_few_real_differences_are_flipped_in_every_way() -> None:
    generator = np.random.default_rng(1)
    for n in range(1, 10):
        differences = generator.normal(0.4, 1.0, n).round(1)
        assert sign_flip(differences) == pytest.approx(reference.sign_flip(differences.tolist()), abs=1e-15)


def test_many_real_differences_are_flipped_at_random() -> None:
    differences = np.random.default_rng(2).normal(0.3, 1.0, EXACT_FLIPS + 2)
    found = sign_flip(differences, seed=5)
    # four standard errors of 10,000 flips
    assert found == pytest.approx(reference.sign_flip(differences.tolist()), abs=0.02)
    assert sign_flip(differences, seed=5) == found
    assert sign_flip(np.full(40, 1.0)) == 1 / 10_001


def test_random_flips_are_counted_as_the_restatement_counts_the_same_ones() -> None:
    differences = np.random.default_rng(7).normal(0.1, 1.0, 307).round(2)
    differences = differences[differences != 0][:301]
    assert sign_flip(differences, seed=3) == reference.drawn_sign_flip(differences.tolist(), FLIPS, seed=3)


@pytest.mark.parametrize("differences", [[0.1, -0.7, 0.7, -0.1], [-0.9, -0.1, 0.8, 0.2], [0.0, 0.3, 0.0, -0.1, -0.2]])
def test_differences_that_cancel_are_no_sign_of_anything(differences: list[float]) -> None:
    """Their sum is 0 but for rounding, and rounding depends on the signs: no flip may count as less."""
    assert sign_flip(np.array(differences)) == 1.0
    assert sign_flip(np.array(differences * 5)) == 1.0


@pytest.mark.parametrize("differences", [[], [0.0, 0.0], [0.4], [0.0, -2.0, 0.0], [1.0] * 20 + [-1.0] * 20])
def test_what_is_as_large_under_every_flip_has_p_value_1(differences: list[float]) -> None:
    assert sign_flip(np.array(differences)) == 1.0


def test_error_and_interval_of_clusters_equal_those_of_all_samples() -> None:
    generator = np.random.default_rng(3)
    clusters = [name for name in "uvwxyz" for _ in range(3)] + ["u", "z"]
    a, b = generator.integers(0, 2, 20), generator.normal(0, 1, 20).round(2)
    found = paired_difference(a, b, clusters)
    means = reference.cluster_means((a - b).tolist(), clusters)
    assert found.standard_error == pytest.approx(np.std(means), rel=0.06)
    assert found.ci95 == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.08)


def test_the_error_of_unclustered_pairs_equals_the_textbook() -> None:
    generator = np.random.default_rng(4)
    a, b = generator.normal(size=30), generator.normal(size=30)
    assert paired_difference(a, b).standard_error == pytest.approx(
        reference.standard_error((a - b).tolist()), rel=1e-12
    )


@pytest.mark.parametrize(
    ("differences", "quantile"),
    [  # the 0.975 quantile has closed forms for one, two and four degrees of freedom, with a = 4 * 0.975 * 0.025
        ([1.0, 3.0], math.tan(0.475 * math.pi)),
        ([1.0, 2.0, 6.0], 0.95 * math.sqrt(2 / 0.0975)),
        ([1.0, 2.0, 6.0, 0.5, 1.5], 2 * math.sqrt(math.cos(math.acos(math.sqrt(0.0975)) / 3) / math.sqrt(0.0975) - 1)),
    ],
)
def test_the_reach_of_an_interval_is_students(differences: list[float], quantile: float) -> None:
    found = paired_difference(differences, [0.0] * len(differences))
    mean, reach = np.mean(differences), quantile * reference.standard_error(differences)
    assert found.ci95 == pytest.approx((mean - reach, mean + reach), rel=1e-12)


@pytest.mark.parametrize("clusters", [None, list("aabbccdd")])
@pytest.mark.parametrize("binary", [True, False])
def test_exchanging_the_two_turns_the_sign_and_nothing_else(binary: bool, clusters: list[str] | None) -> None:
    generator = np.random.default_rng(6)
    a, b = (generator.integers(0, 2, 8) if binary else generator.normal(size=8) for _ in range(2))
    one, other = paired_difference(a, b, clusters), paired_difference(b, a, clusters)
    assert one.difference == -other.difference
    assert one.p_value == other.p_value
    assert one.standard_error == pytest.approx(other.standard_error)
    assert one.ci95 == pytest.approx((-other.ci95[1], -other.ci95[0]))


def test_equal_vectors_do_not_differ() -> None:
    for values in ([0, 1, 1], [0.5, 0.1, 2.0]):
        found = paired_difference(values, values)
        assert (found.difference, found.standard_error, found.ci95, found.p_value) == (0.0, 0.0, (0.0, 0.0), 1.0)


@pytest.mark.parametrize(("a", "b", "clusters"), [([1], [0], None), ([0.5, 1.0], [0.0, 0.0], ["x", "x"])])
def test_one_pair_or_one_cluster_says_nothing_about_the_error(
    a: list[float], b: list[float], clusters: list[str] | None
) -> None:
    found = paired_difference(a, b, clusters)
    assert [math.isnan(value) for value in (found.standard_error, *found.ci95)] == [True] * 3
    assert found.p_value == 1.0


@pytest.mark.parametrize(
    ("a", "b", "clusters", "message"),
    [
        ([1, 0], [1], None, r"shapes \(2,\) and \(1,\); wanted two vectors"),
        ([], [], None, r"shapes \(0,\) and \(0,\)"),
        ([1.0, math.nan], [1.0, 0.0], None, "not finite"),
        ([1.0, 0.0], [1.0, 0.0], ["x"], "1 clusters for 2 pairs"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(
    a: list[float], b: list[float], clusters: list[str] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        paired_difference(a, b, clusters)
