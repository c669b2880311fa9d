"""Claims: the loss is the restated cross-entropy, its sign changed, and nothing bounds it."""

import pytest

from tasks.algorithms.objectives.gradient_ascent import GradientAscent
from tasks.settings.objectives.gradient_ascent import GradientAscentConfig
from tests.reference import objectives as reference
from tests.stand_ins.objectives import FORGET, TwoTokens, make_batch, padded, rows_of


def test_the_loss_equals_float64(pair) -> None:
    found, metrics = GradientAscent(GradientAscentConfig()).loss(pair.student, make_batch(), {})
    assert found.item() == pytest.approx(-reference.cross_entropy(rows_of(pair.student, FORGET)), rel=2e-5)
    assert metrics["forget_loss_nats"].item() == found.item()


def test_it_falls_without_bound() -> None:
    losses = [
        GradientAscent(GradientAscentConfig())
        .loss(TwoTokens([0.0, -gap]), padded([((0, 1), (1, 0))], ""), {})[0]
        .item()
        for gap in (0.0, 1e2, 1e4)
    ]
    assert losses == pytest.approx([-0.693147, -1e2, -1e4], rel=1e-5)
