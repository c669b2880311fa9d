"""Claims: both retain terms are those of the restatement, over counted tokens of real text alone."""

import pytest

from tasks.algorithms.objectives.gradient_difference import GradientDifference
from tasks.settings.objectives.gradient_difference import GradientDifferenceConfig
from tests.reference import objectives as reference
from tests.stand_ins.objectives import FORGET, RETAIN, make_batch, make_cached, rows_of


@pytest.mark.parametrize("kind", ["ce", "kl"])
@pytest.mark.parametrize("weight", [0.0, 1.0, 4.0])
def test_the_loss_equals_float64(pair, kind: str, weight: float) -> None:
    batch = make_batch()
    config = GradientDifferenceConfig(retain_loss=kind, retain_weight=weight)
    found, metrics = GradientDifference(config).loss(pair.student, batch, make_cached(pair.frozen, batch))
    forget = -reference.cross_entropy(rows_of(pair.student, FORGET))
    retain = reference.retain(kind, rows_of(pair.frozen, RETAIN), rows_of(pair.student, RETAIN))
    assert found.item() == pytest.approx(forget + weight * retain, rel=2e-5)
    assert metrics["forget_loss_nats"].item() == pytest.approx(forget, rel=2e-5)
    assert set(metrics) == ({"forget_loss_nats", f"retain_{kind}_nats"} if weight else {"forget_loss_nats"})


def test_without_retain_text_it_is_ascent_whatever_the_weight(pair) -> None:
    batch = make_batch(retain=())
    light, heavy = (
        GradientDifference(GradientDifferenceConfig(retain_weight=weight)).loss(pair.student, batch, {})[0]
        for weight in (0.0, 9.0)
    )
    assert (
        light.item() == heavy.item() == pytest.approx(-reference.cross_entropy(rows_of(pair.student, FORGET)), rel=2e-5)
    )


def test_the_kl_to_the_target_model_itself_is_0(pair) -> None:
    batch = make_batch()
    _, metrics = GradientDifference(GradientDifferenceConfig(retain_loss="kl")).loss(
        pair.frozen, batch, make_cached(pair.frozen, batch)
    )
    assert abs(metrics["retain_kl_nats"].item()) < 1e-6


def test_bad_values_are_named() -> None:
    with pytest.raises(ValueError, match="retain_weight is -1; wanted a number >= 0"):
        GradientDifferenceConfig(retain_weight=-1)
    with pytest.raises(ValueError, match="retain_loss is 'mse'; wanted one of ce, kl"):
        GradientDifferenceConfig(retain_loss="mse")
