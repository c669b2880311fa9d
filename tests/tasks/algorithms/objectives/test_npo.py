"""Claims: NPO is its float64 restatement; it starts at (2 / b) log 2, is never below 0, and tends to gradient ascent as
b -> 0.
"""

import math

import pytest
import torch
from torch import nn

from tasks.algorithms.objectives import terms
from tasks.algorithms.objectives.gradient_difference import GradientDifference
from tasks.algorithms.objectives.npo import NPO
from tasks.settings.objectives.gradient_difference import GradientDifferenceConfig
from tasks.settings.objectives.npo import NPOConfig
from tests.reference import objectives as reference
from tests.stand_ins.objectives import FORGET, RETAIN, gradient, make_batch, make_cached, rows_of


@pytest.mark.parametrize("b", [0.1, 1.0])
@pytest.mark.parametrize("kind", ["ce", "kl"])
def test_the_loss_equals_float64(pair, b: float, kind: str) -> None:
    batch = make_batch()
    found, metrics = NPO(NPOConfig(b=b, retain_loss=kind, retain_weight=3.0)).loss(
        pair.student, batch, make_cached(pair.frozen, batch)
    )
    forget = reference.npo(rows_of(pair.student, FORGET), rows_of(pair.frozen, FORGET), b)
    retain = reference.retain(kind, rows_of(pair.frozen, RETAIN), rows_of(pair.student, RETAIN))
    assert found.item() == pytest.approx(forget + 3.0 * retain, rel=2e-5)
    assert metrics["forget_loss_nats"].item() == pytest.approx(forget, rel=2e-5)
    assert metrics[f"retain_{kind}_nats"].item() == pytest.approx(retain, rel=2e-5)


@pytest.mark.parametrize("until", [1e-4, 0.02, 0.9])
def test_with_until_the_loss_equals_float64(pair, until: float) -> None:
    batch = make_batch()
    config = NPOConfig(until=until, retain_weight=0)
    found, _ = NPO(config).loss(pair.student, batch, make_cached(pair.frozen, batch))
    assert found.item() == pytest.approx(
        reference.npo(rows_of(pair.student, FORGET), rows_of(pair.frozen, FORGET), 0.1, until), rel=2e-5
    )


@pytest.mark.parametrize("tokens", [1, 7, 200])
def test_until_says_where_a_tenth_of_the_push_is_left_however_long_a_row_is(tokens: int) -> None:
    """The push is the slope of the loss along the row's mean log-probability."""
    before, until = math.log(0.6), 0.05
    objective = NPO(NPOConfig(until=until, retain_weight=0))

    def push(mean: float) -> float:
        now = torch.tensor([mean * tokens], requires_grad=True)
        batch = {"ids": torch.zeros(1, tokens + 1, dtype=torch.long)}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(terms, "sequence_logprobs", lambda student, batch: now)
            patch.setattr(terms, "sequence_lengths", lambda batch: torch.tensor([tokens]))
            loss, _ = objective.forget_term(nn.Module(), batch, {"reference_logprob": torch.tensor([before * tokens])})
        return float(torch.autograd.grad(loss, now)[0]) * tokens

    assert push(before) == pytest.approx(1.0, rel=1e-5)
    assert push(math.log(until)) == pytest.approx(0.1, rel=1e-4)
    assert push(math.log(until) - 2.0) < 0.05


@pytest.mark.parametrize("b", [0.1, 0.5])
def test_at_the_target_model_it_is_two_over_b_log_two(pair, b: float) -> None:
    batch = make_batch()
    found, _ = NPO(NPOConfig(b=b, retain_weight=0)).loss(pair.frozen, batch, make_cached(pair.frozen, batch))
    assert found.item() == pytest.approx(2 / b * math.log(2), rel=1e-5)


@pytest.mark.parametrize("offset, expected", [(-1e4, 2e4), (0.0, 20 * math.log(2)), (1e4, 0.0)])
def test_it_is_never_below_0_and_what_is_forgotten_costs_nothing(tiny_llama, offset: float, expected: float) -> None:
    model = tiny_llama(1, vocab_size=40)
    batch = make_batch()
    cached = make_cached(model, batch)
    cached["reference_logprob"] = cached["reference_logprob"] + offset  # the student is e^-offset as sure as the target
    found, _ = NPO(NPOConfig(retain_weight=0)).loss(model, batch, cached)
    assert found.item() >= 0
    assert found.item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_its_gradient_tends_to_gradient_ascent_as_b_tends_to_0(pair) -> None:
    # Every row counts 2 tokens: the row mean of sums is 2 times the token mean, and 2 sigmoid(b r) -> 1.
    batch = make_batch(forget=[((5, 6, 7), (1, 1, 0)), ((8, 9, 10, 11), (0, 1, 1, 0)), ((12, 13, 14), (1, 1, 0))])
    cached = make_cached(pair.frozen, batch)
    ascent = 2 * gradient(GradientDifference(GradientDifferenceConfig(retain_weight=0)), pair.student, batch, cached)
    gaps = [
        (gradient(NPO(NPOConfig(b=b, retain_weight=0)), pair.student, batch, cached) - ascent).norm() / ascent.norm()
        for b in (1.0, 1e-1, 1e-2, 1e-4)
    ]
    assert gaps[0] > 0.1
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 1e-3


def test_logprobs_of_another_shape_are_refused(pair) -> None:
    batch = make_batch()
    cached = make_cached(pair.frozen, batch)
    cached["reference_logprob"] = cached["reference_logprob"][:, None]
    with pytest.raises(ValueError, match=r"reference_logprob has shape \(3, 1\); wanted \(3,\)"):
        NPO(NPOConfig()).loss(pair.student, batch, cached)


def test_needs_follow_the_config() -> None:
    assert NPO(NPOConfig(retain_weight=0)).needs == {"reference_logprobs"}
    assert NPO(NPOConfig()).needs == {"reference_logprobs", "retain"}
    assert NPO(NPOConfig(retain_loss="kl")).needs == {"reference_logprobs", "retain", "reference_hidden"}


@pytest.mark.parametrize("until", [0.0, 1.0, -0.1, math.nan])
def test_an_until_that_is_no_probability_is_refused(until: float) -> None:
    with pytest.raises(ValueError, match=rf"until is {until}; wanted a number above 0 and less than 1, or none"):
        NPOConfig(until=until)


@pytest.mark.parametrize("b", [0.0, -1.0, math.inf, math.nan])
def test_a_b_that_is_not_positive_is_refused(b: float) -> None:
    with pytest.raises(ValueError, match=rf"b is {b}; wanted a number > 0"):
        NPOConfig(b=b)
