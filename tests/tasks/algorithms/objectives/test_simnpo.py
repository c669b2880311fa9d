"""Claims: SimNPO is its float64 restatement, the loss per token inside the sigmoid; never below 0; no reference model
is asked.
"""

import math

import pytest

from tasks.algorithms.objectives.simnpo import SimNPO
from tasks.settings.objectives.simnpo import SimNPOConfig
from tests.reference import objectives as reference
from tests.stand_ins.objectives import FORGET, RETAIN, TwoTokens, make_batch, make_cached, padded, rows_of


@pytest.mark.parametrize("b, delta", [(4.5, 0.0), (0.5, 3.0), (1.0, -1.0)])
@pytest.mark.parametrize("kind", ["ce", "kl"])
def test_the_loss_equals_float64(pair, b: float, delta: float, kind: str) -> None:
    batch = make_batch()
    config = SimNPOConfig(b=b, delta=delta, retain_loss=kind, retain_weight=2.0)
    found, metrics = SimNPO(config).loss(pair.student, batch, make_cached(pair.frozen, batch))
    forget = reference.simnpo(rows_of(pair.student, FORGET), b, delta)
    retain = reference.retain(kind, rows_of(pair.frozen, RETAIN), rows_of(pair.student, RETAIN))
    assert found.item() == pytest.approx(forget + 2.0 * retain, rel=2e-5)
    assert metrics["forget_loss_nats"].item() == pytest.approx(forget, rel=2e-5, abs=1e-7)


def test_a_worked_example() -> None:
    # A fair coin of two tokens costs log 2 a token, however long the row: -(2 / 4.5) log sigmoid(4.5 log 2) = (2
    # / 4.5) log(1 + 2^-4.5)
    rows = [((0, 1), (1, 0)), ((0, 1, 1, 0, 1), (1, 1, 1, 1, 0))]
    found, _ = SimNPO(SimNPOConfig()).loss(TwoTokens([0.0, 0.0]), padded(rows, ""), {})
    assert found.item() == pytest.approx(2 / 4.5 * math.log(1 + 2**-4.5), rel=1e-5)


@pytest.mark.parametrize("gap", [-1e4, 0.0, 1e4])
def test_it_is_never_below_0(gap: float) -> None:
    found, _ = SimNPO(SimNPOConfig()).loss(TwoTokens([0.0, gap]), padded([((0, 1), (1, 0))], ""), {})
    assert math.isfinite(found.item())
    assert found.item() >= 0


def test_a_row_that_counts_nothing_disturbs_no_other() -> None:
    model, row = TwoTokens([0.0, 1.0]), ((0, 1), (1, 0))
    alone, beside = (
        SimNPO(SimNPOConfig()).loss(model, padded(rows, ""), {})[0].item() for rows in ([row], [row, ((0, 1), (0, 0))])
    )
    assert beside == pytest.approx((alone + 2 / 4.5 * math.log(2)) / 2, rel=1e-5)


def test_needs_follow_the_config() -> None:
    assert SimNPO(SimNPOConfig(retain_weight=0)).needs == frozenset()
    assert SimNPO(SimNPOConfig(retain_loss="kl")).needs == {"retain", "reference_hidden"}


def test_bad_values_are_named() -> None:
    with pytest.raises(ValueError, match="b is 0; wanted a number > 0"):
        SimNPOConfig(b=0)
    with pytest.raises(ValueError, match="delta is inf; wanted a finite number"):
        SimNPOConfig(delta=math.inf)
    with pytest.raises(ValueError, match="retain_weight is -1"):
        SimNPOConfig(retain_weight=-1)
