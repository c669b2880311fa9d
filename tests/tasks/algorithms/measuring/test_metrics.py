"""Claims: token statistics are those of float64, and finite for any finite logits; scores are their definitions,
however improbable the text; intervals respect clusters.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.algorithms.measuring.metrics import (
    MOST_NATS,
    ScoredSequence,
    answer_probability,
    bounded_exp,
    cluster_bootstrap,
    draw_clusters,
    extraction_strength,
    log_mean_exp,
    log_truth_ratio,
    score_sequences,
    token_statistics,
    truth_ratio_score,
)
from tasks.algorithms.tokens import batching
from tests.reference import metrics as reference
from tests.reference.labels import logits_of


def sequences(seed: int, lengths: tuple[int, ...], vocabulary: int = 300) -> list[ScoredSequence]:
    generator = torch.Generator().manual_seed(seed)
    ids = [tuple(torch.randint(vocabulary, (length,), generator=generator).tolist()) for length in lengths]
    return [ScoredSequence(ids=one, start=1 + number % 3) for number, one in enumerate(ids)]


@pytest.mark.parametrize("scale", [0.1, 3.0, 30.0])
def test_token_statistics_equal_float64(scale: float) -> None:
    logits = scale * torch.randn(20, 50, generator=torch.Generator().manual_seed(1))
    targets = torch.arange(20)
    expected = [
        reference.token_statistics(row, target) for row, target in zip(logits.tolist(), targets.tolist(), strict=True)
    ]
    np.testing.assert_allclose(token_statistics(logits, targets).numpy(), expected, atol=2e-5, rtol=2e-5)


def test_statistics_of_a_fair_and_a_biased_coin_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0]])
    fair, biased = token_statistics(logits, torch.tensor([0, 1])).tolist()
    assert fair == pytest.approx([math.log(0.5), 1, math.log(0.5), 0.0], abs=1e-6)
    mean = 0.75 * math.log(0.75) + 0.25 * math.log(0.25)
    deviation = math.sqrt(0.75 * 0.25) * math.log(3.0)  # two values log 3 apart, with weights 3/4 and 1/4
    assert biased == pytest.approx([math.log(0.25), 0, mean, deviation], abs=1e-6)


def test_the_deviation_is_not_lost_in_low_precision() -> None:
    """Nearly uniform over 4096 tokens: mean^2 = 69, variance 1e-6; a difference of squares would be noise."""
    logits = (0.001 * torch.randn(1, 4096, generator=torch.Generator().manual_seed(2), dtype=torch.float64)).float()
    expected = reference.token_statistics(logits[0].tolist(), 0)[3]
    assert float(token_statistics(logits, torch.tensor([0]))[0, 3]) == pytest.approx(expected, rel=1e-2)


def test_scores_of_a_model_equal_float64_one_sequence_at_a_time(tiny_llama) -> None:
    model, items = tiny_llama(3, initializer_range=0.3), sequences(3, (12, 3, 40, 7))
    found = score_sequences(model, items, 0, batch_tokens=50)
    for item, table in zip(items, found, strict=True):
        logits = logits_of(model, item.ids)
        expected = [reference.token_statistics(logits[at - 1], item.ids[at]) for at in range(item.start, len(item.ids))]
        np.testing.assert_allclose(table, expected, atol=1e-4, rtol=1e-4)
        assert table.dtype == np.float32


def test_scores_are_the_same_however_few_rows_have_logits_at_a_time(
    tiny_llama, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, items = tiny_llama(3, initializer_range=0.3), sequences(3, (12, 3, 40, 7))
    whole = np.concatenate(score_sequences(model, items, 0))
    monkeypatch.setattr(batching, "CHUNK_ELEMENTS", 7 * 300)
    np.testing.assert_allclose(np.concatenate(score_sequences(model, items, 0)), whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pad_id", [0, 5, 299])
def test_padding_changes_nothing(tiny_llama, tiny_gpt2, pad_id: int) -> None:
    items = sequences(4, (9, 30, 2))
    items.append(ScoredSequence(ids=(pad_id,) * 6, start=1))
    for model in (tiny_llama(4, initializer_range=0.3), tiny_gpt2(4, initializer_range=0.3)):
        together = score_sequences(model, items, pad_id)
        for item, table in zip(items, together, strict=True):
            np.testing.assert_allclose(table, score_sequences(model, [item], 1)[0], atol=1e-4, rtol=1e-4)


def test_a_sequence_with_nothing_to_score_and_no_sequence_at_all(tiny_llama) -> None:
    model = tiny_llama(5)
    empty, scored = score_sequences(
        model, [ScoredSequence(ids=(4, 5), start=2), ScoredSequence(ids=(4, 5, 6), start=1)], 0
    )
    assert (empty.shape, scored.shape) == ((0, 4), (2, 4))
    assert score_sequences(model, [], 0) == []


def test_progress_counts_every_sequence(tiny_llama) -> None:
    calls: list[tuple[int, int]] = []
    score_sequences(
        tiny_llama(5),
        sequences(5, (5, 5, 9)),
        0,
        batch_tokens=10,
        on_step=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(1, 3), (3, 3)]


def test_logits_that_are_not_numbers_are_refused(tiny_llama) -> None:
    model = tiny_llama(6)
    with torch.no_grad():
        model.lm_head.weight[7] = float("nan")
    with pytest.raises(ValueError, match="not numbers"):
        score_sequences(model, sequences(6, (5,)), 0)


def test_answer_probability_is_the_geometric_mean() -> None:
    assert answer_probability(np.log([0.5, 0.125])) == pytest.approx(0.25, abs=1e-12)  # sqrt(1 / 16)


def test_truth_ratio_by_hand() -> None:
    # true answer 0.8 * 0.2 = 0.16, per token 0.4; false ones 0.1 and 0.9 * 0.1 = 0.09, per token 0.1 and 0.3
    true, false = np.log([0.8, 0.2]).mean(), [np.log([0.1]).mean(), np.log([0.9, 0.1]).mean()]
    found = math.exp(log_truth_ratio(float(true), [float(value) for value in false]))
    assert found == pytest.approx(math.sqrt(0.1 * 0.3) / 0.4, abs=1e-12)
    assert found == pytest.approx(reference.truth_ratio([0.8, 0.2], [[0.1], [0.9, 0.1]]), abs=1e-12)


def test_the_truth_ratio_of_the_tofu_paper_takes_the_arithmetic_mean() -> None:
    found = log_truth_ratio(math.log(0.4), [math.log(0.1), math.log(0.3)], mean="arithmetic")
    assert found == pytest.approx(math.log(0.2 / 0.4), abs=1e-12)


@given(st.lists(st.floats(-6, 0), min_size=1, max_size=6), st.floats(-6, 0))
def test_the_geometric_truth_ratio_is_never_above_the_arithmetic_one(false: list[float], true: float) -> None:
    assert log_truth_ratio(true, false) <= log_truth_ratio(true, false, mean="arithmetic") + 1e-12


def test_a_truth_ratio_is_scored_by_side() -> None:
    quarter, four = math.log(0.25), math.log(4.0)
    assert truth_ratio_score(quarter, forget=True) == truth_ratio_score(four, forget=True) == pytest.approx(0.25)
    assert truth_ratio_score(0.0, forget=True) == 1.0  # indifference
    assert truth_ratio_score(quarter, forget=False) == pytest.approx(0.75, abs=1e-12)
    assert truth_ratio_score(four, forget=False) == 0.0


@pytest.mark.parametrize("nats", [800.0, 1e5, 1e38])
def test_truth_ratios_beyond_any_number_have_scores(nats: float) -> None:
    """exp(800) is no number: a model that was driven away has such answers."""
    for mean in ("geometric", "arithmetic"):
        over, under = (log_truth_ratio(true, [false], mean=mean) for true, false in ((-nats, -1.0), (-1.0, -nats)))
        assert (over, under) == pytest.approx((nats - 1, 1 - nats))
        assert [truth_ratio_score(ratio, forget=True) for ratio in (over, under)] == [0.0, 0.0]
        assert [truth_ratio_score(ratio, forget=False) for ratio in (over, under)] == [0.0, 1.0]


def test_what_is_beyond_any_number_is_shown_as_the_largest_figure() -> None:
    assert bounded_exp(2.0) == math.exp(2.0)
    assert bounded_exp(1e38) == bounded_exp(MOST_NATS) == math.exp(MOST_NATS) < math.inf
    assert bounded_exp(-1e38) == 0.0


def test_a_mean_of_probabilities_too_small_for_numbers() -> None:
    assert log_mean_exp(torch.tensor([-2000.0, -2000.0])) == pytest.approx(-2000.0)
    assert log_mean_exp(torch.tensor([0.5, 0.25]).log()) == pytest.approx(math.log(0.375), abs=1e-6)
    assert math.isfinite(log_mean_exp(torch.tensor([-math.inf, -math.inf])))


@pytest.mark.parametrize("largest", [1e3, 1e30, 3e38])
def test_statistics_are_finite_for_any_finite_logits(largest: float) -> None:
    logits = torch.tensor([[largest, -largest, 0.0], [largest, largest, -largest], [-largest, -largest, -largest]])
    for target in range(3):
        assert torch.isfinite(token_statistics(logits, torch.full((3,), target))).all()
    assert token_statistics(logits, torch.tensor([0, 0, 0]))[0].tolist() == [0.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("hits", "strength"),
    [
        ([1, 1, 1, 1], 1.0),
        ([0, 0, 0, 0], 0.0),
        ([1, 1, 1, 0], 0.0),
        ([0, 1, 1, 1], 0.75),
        ([1, 0, 1, 1], 0.5),
        ([0], 0.0),
        ([1], 1.0),
    ],
)
def test_extraction_strength_by_hand(hits: list[int], strength: float) -> None:
    assert extraction_strength(np.array(hits, np.float32)) == strength


@given(st.lists(st.integers(0, 1), min_size=1, max_size=12))
def test_extraction_strength_equals_the_restatement(hits: list[int]) -> None:
    assert extraction_strength(np.array(hits)) == pytest.approx(reference.extraction_strength(hits), abs=1e-12)


VALUES = np.random.default_rng(0).normal(size=24)
FACTS = [f"fact {number // 2}" for number in range(24)]


def test_an_interval_holds_the_mean_and_narrows_with_more_facts() -> None:
    low, high = cluster_bootstrap(VALUES, FACTS)
    assert low < VALUES.mean() < high
    more = np.concatenate([VALUES] * 9)
    far = cluster_bootstrap(more, [f"{fact}, copy {number}" for number in range(9) for fact in FACTS])
    assert (far[1] - far[0]) == pytest.approx((high - low) / 3, rel=0.25)  # 9 times the facts, a third of the width


def test_asking_a_fact_again_does_not_narrow_the_interval() -> None:
    again = cluster_bootstrap(np.concatenate([VALUES] * 5), FACTS * 5)
    assert again == pytest.approx(cluster_bootstrap(VALUES, FACTS), abs=1e-12)


def test_clusters_widen_the_interval_where_their_items_agree() -> None:
    agreeing = np.repeat(VALUES[:8], 3)
    clustered = cluster_bootstrap(agreeing, [str(number // 3) for number in range(24)])
    single = cluster_bootstrap(agreeing, [str(number) for number in range(24)])
    assert clustered[1] - clustered[0] > 1.4 * (single[1] - single[0])  # sqrt(3) in the limit


def test_clusters_of_unequal_size_are_weighted_by_their_items() -> None:
    """20 facts asked once, all 0, and 20 asked 9 times, all 1: the mean over items is 180 / 200, over facts 1 / 2."""
    values = np.array([0.0] * 20 + [1.0] * 180)
    low, high = cluster_bootstrap(
        values, [f"a{number}" for number in range(20)] + [f"b{number // 9}" for number in range(180)]
    )
    assert 0.75 < low < 0.9 < high < 1.0
    assert cluster_bootstrap(np.array([2.0, 4.0]), ["a", "a"]) == (3.0, 3.0)


def test_the_interval_of_a_statistic_is_ordered_even_where_it_falls() -> None:
    """A perplexity is exp(-mean log-probability): it falls as the mean rises."""
    low, high = cluster_bootstrap(VALUES, FACTS, statistic=lambda mean: math.exp(-mean))
    raw_low, raw_high = cluster_bootstrap(VALUES, FACTS)
    assert (low, high) == pytest.approx((math.exp(-raw_high), math.exp(-raw_low)), abs=1e-12)


def test_one_seed_one_interval() -> None:
    assert cluster_bootstrap(VALUES, FACTS, seed=3) == cluster_bootstrap(VALUES, FACTS, seed=3)
    assert cluster_bootstrap(VALUES, FACTS, seed=3) != cluster_bootstrap(VALUES, FACTS, seed=4)


def test_weights_decide_how_much_an_item_counts() -> None:
    """A window of 9 tokens beside one of 1: their mean is the tokens' mean, and the interval's ends are each alone."""
    low, high = cluster_bootstrap(np.array([1.0, 2.0]), ["a", "b"], weights=np.array([9.0, 1.0]))
    assert (low, high) == (1.0, 2.0)
    repeated = cluster_bootstrap(np.array([1.0] * 9 + [2.0]), ["a"] * 9 + ["b"])
    assert cluster_bootstrap(np.array([1.0, 2.0]), ["a", "b"], weights=np.array([9.0, 1.0])) == pytest.approx(
        repeated, abs=1e-12
    )


def test_clusters_are_drawn_whole() -> None:
    for drawn in draw_clusters(["a", "b", "a", "c"], 50, np.random.default_rng(0)):
        counts = np.bincount(drawn, minlength=4)
        assert counts[0] == counts[2]
        assert counts[0] + counts[1] + counts[3] == 3
