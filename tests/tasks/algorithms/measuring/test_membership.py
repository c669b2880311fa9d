"""Claims: attack scores are those of float64, AUC counts pairs, intervals respect clusters, privleak has the right
sign.
"""

import zlib

import numpy as np
import pytest
import sklearn.metrics  # noqa: F401 - its import takes seconds, the deadline of an example does not
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.algorithms.measuring.membership import ATTACKS, auc, auc_interval, min_k_score, privleak
from tasks.algorithms.measuring.metrics import draw_clusters, token_statistics
from tests.reference import membership as reference

TEXT = "a text that is not quite as short as it might be"


@pytest.fixture
def logits() -> torch.Tensor:
    return 2.0 * torch.randn(11, 30, generator=torch.Generator().manual_seed(0))


def test_every_attack_equals_its_restatement(logits: torch.Tensor) -> None:
    targets = [3, 7, 7, 0, 29, 12, 5, 5, 1, 20, 9]
    tokens = token_statistics(logits, torch.tensor(targets)).numpy()
    log_p = logits.double().log_softmax(-1)[range(11), targets].tolist()
    expected = {
        "loss": reference.loss(log_p),
        "zlib": reference.zlib_ratio(log_p, TEXT),
        "min_k": reference.min_k(log_p),
        "min_k_plus_plus": reference.min_k_plus_plus(logits.double().tolist(), targets),
    }
    found = {name: attack(tokens, len(zlib.compress(TEXT.encode()))) for name, attack in ATTACKS.items()}
    assert found == pytest.approx(expected, rel=1e-4)


def test_min_k_by_hand() -> None:
    tokens = np.array([[-1.0, 0, 0, 1], [-5.0, 0, 0, 1], [-2.0, 0, 0, 1], [-4.0, 0, 0, 1], [-3.0, 0, 0, 1]], np.float32)
    assert min_k_score(tokens, 1) == -4.5  # the two least of five
    assert min_k_score(tokens[:1], 1) == -1.0  # at least one token


def test_the_deviation_of_min_k_plus_plus_survives_half_precision_of_the_logits() -> None:
    """Nearly uniform over 4096 tokens, logits given in bfloat16: E[x^2] - mu^2 would be noise around 69 - 69."""
    rows = (0.05 * torch.randn(6, 4096, generator=torch.Generator().manual_seed(2))).bfloat16()
    targets = torch.arange(6)
    expected = reference.min_k_plus_plus(rows.double().tolist(), targets.tolist())
    assert ATTACKS["min_k_plus_plus"](token_statistics(rows, targets).numpy(), 1) == pytest.approx(expected, rel=2e-2)


def test_auc_by_hand() -> None:
    assert auc(np.array([3.0, 2.0]), np.array([1.0, 0.0])) == 1.0
    assert auc(np.array([0.0]), np.array([1.0, 2.0])) == 0.0
    assert auc(np.array([1.0, 1.0]), np.array([1.0])) == 0.5
    assert auc(np.array([1.0, 3.0]), np.array([2.0, 0.0])) == 0.75


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_auc_counts_pairs(members: list[int], others: list[int]) -> None:
    found = auc(np.array(members, float), np.array(others, float))
    assert found == pytest.approx(reference.auc(members, others), abs=1e-12)
    assert found + auc(np.array(others, float), np.array(members, float)) == pytest.approx(1.0, abs=1e-12)


def test_an_interval_holds_the_auc_and_a_fact_asked_again_does_not_narrow_it() -> None:
    rng = np.random.default_rng(0)
    members, others = rng.normal(0.5, 1, 40), rng.normal(0, 1, 40)
    names = [str(number) for number in range(40)]
    low, high = auc_interval(members, others, names, names)
    assert low < auc(members, others) < high
    again = auc_interval(
        np.repeat(members, 5),
        np.repeat(others, 5),
        [name for name in names for _ in range(5)],
        [name for name in names for _ in range(5)],
    )
    assert again == pytest.approx((low, high), abs=1e-12)


def test_the_ends_of_an_interval_are_percentiles_of_the_auc_of_its_draws() -> None:
    rng = np.random.default_rng(1)
    members, others = rng.integers(0, 4, 9).astype(float), rng.integers(0, 4, 6).astype(float)  # with ties
    facts, names = list("aabcccdde"), list("uvvwwx")
    draws = np.random.default_rng(5)
    drawn = zip(draw_clusters(facts, 40, draws), draw_clusters(names, 40, draws), strict=True)
    expected = np.percentile(
        [reference.auc(members[one].tolist(), others[other].tolist()) for one, other in drawn], [2.5, 97.5]
    )
    assert auc_interval(members, others, facts, names, draws=40, seed=5) == pytest.approx(tuple(expected), abs=1e-12)


def test_privleak_is_zero_for_the_retrained_model_and_positive_where_membership_shows() -> None:
    assert privleak(0.5, 0.5) == 0.0
    assert privleak(0.75, 0.5) == 50.0
    assert privleak(0.25, 0.5) == -50.0
