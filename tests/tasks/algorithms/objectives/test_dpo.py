"""Claims: DPO is its float64 restatement; it starts at log 2, is never below 0, and `idk` is the same."""

import math

import pytest

from tasks.algorithms.objectives.dpo import DPO
from tasks.settings.objectives.dpo import DPOConfig
from tasks.settings.objectives.table import OBJECTIVES
from tests.reference import objectives as reference
from tests.stand_ins.objectives import FORGET, PREFERRED, RETAIN, make_batch, make_cached, rows_of


@pytest.mark.parametrize("b", [0.1, 1.0])
@pytest.mark.parametrize("kind", ["ce", "kl"])
def test_the_loss_equals_float64(pair, b: float, kind: str) -> None:
    batch = make_batch()
    found, metrics = DPO(DPOConfig(b=b, retain_loss=kind, retain_weight=0.5)).loss(
        pair.student, batch, make_cached(pair.frozen, batch)
    )
    forget = reference.dpo(*(rows_of(model, texts) for texts in (FORGET, PREFERRED) for model in pair), b)
    retain = reference.retain(kind, rows_of(pair.frozen, RETAIN), rows_of(pair.student, RETAIN))
    assert found.item() == pytest.approx(forget + 0.5 * retain, rel=2e-5)
    assert metrics["forget_loss_nats"].item() == pytest.approx(forget, rel=2e-5)


def test_at_the_target_model_it_is_log_two(pair) -> None:
    batch = make_batch()
    found, _ = DPO(DPOConfig(retain_weight=0)).loss(pair.frozen, batch, make_cached(pair.frozen, batch))
    assert found.item() == pytest.approx(math.log(2), rel=1e-5)


@pytest.mark.parametrize("offset, expected", [(-1e4, 1e3), (1e4, 0.0)])
def test_it_is_never_below_0(tiny_llama, offset: float, expected: float) -> None:
    model = tiny_llama(1, vocab_size=40)
    batch = make_batch()
    cached = make_cached(model, batch)
    cached["preferred_reference_logprob"] = cached["preferred_reference_logprob"] - offset
    found, _ = DPO(DPOConfig(retain_weight=0)).loss(model, batch, cached)
    assert found.item() >= 0
    assert found.item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_idk_is_the_same_objective() -> None:
    assert OBJECTIVES["idk"] == OBJECTIVES["dpo"]


def test_needs_follow_the_config() -> None:
    assert DPO(DPOConfig(retain_weight=0)).needs == {"preferred", "reference_logprobs"}
    assert DPO(DPOConfig(retain_loss="kl")).needs == {"preferred", "reference_logprobs", "retain", "reference_hidden"}


def test_a_b_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match="b is 0; wanted a number > 0"):
        DPOConfig(b=0)
