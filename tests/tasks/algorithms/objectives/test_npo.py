"""Claims: NPO is its float64 restatement; it starts at (2 / b) log 2, is never below 0, and tends to gradient ascent as
b -> 0. With `until` every token is pushed by itself, and a tenth of its push is left where `until` says.
"""

import math

import pytest
import torch
from torch import Tensor, nn

from tasks.algorithms.objectives import npo, terms
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


@pytest.mark.parametrize("until", [1e-4, 0.02, 0.03])
def test_with_until_the_loss_equals_float64(pair, until: float) -> None:
    batch = make_batch()
    config = NPOConfig(until=until, retain_weight=0)
    found, _ = NPO(config).loss(pair.student, batch, make_cached(pair.frozen, batch))
    assert found.item() == pytest.approx(
        reference.npo(rows_of(pair.student, FORGET), rows_of(pair.frozen, FORGET), 0.1, until), rel=2e-5
    )


@pytest.mark.parametrize("before", [0.9, 0.3])
def test_until_says_where_a_tenth_of_the_push_is_left_on_each_token(before: float) -> None:
    """The push is the slope of the loss along a token's log-probability; token 1 is what the row says next."""
    until, objective = 0.05, NPO(NPOConfig(until=0.05, retain_weight=0))
    head = nn.Linear(2, 2, bias=False)
    nn.init.eye_(head.weight)

    def states(p: float) -> Tensor:
        return torch.tensor([[math.log(1 - p), math.log(p)]])

    def push(p: float) -> float:
        hidden = states(p).requires_grad_()
        batch = {name: torch.ones(1, 2, dtype=torch.long) for name in ("ids", "mask", "supervised")}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(terms, "counted_rows", lambda student, batch: (hidden, torch.tensor([1])))
            patch.setattr(npo, "output_head", lambda student: head)
            cached = {"forget_hidden": states(before), "reference_head": head}
            loss, _ = objective.forget_term(nn.Module(), batch, cached)
        # d log p(1) / d z(1) = 1 - p(1)
        return float(torch.autograd.grad(loss, hidden)[0][0, 1]) / (1 - p)

    assert push(before) == pytest.approx(1.0, rel=1e-4)
    assert push(until) == pytest.approx(0.1, rel=1e-4)
    assert push(until / 10) < 0.05


def test_a_token_that_the_target_hardly_expected_is_left_alone(pair) -> None:
    batch = make_batch()
    loss, _ = NPO(NPOConfig(until=0.9, retain_weight=0)).loss(pair.student, batch, make_cached(pair.frozen, batch))
    assert loss.item() == 0.0  # random models are sure of nothing
    assert (
        gradient(
            NPO(NPOConfig(until=0.9, retain_weight=0)), pair.student, batch, make_cached(pair.frozen, batch)
        ).norm()
        == 0
    )


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
    assert NPO(NPOConfig(retain_weight=0, until=0.1)).needs == {"forget_hidden"}
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
