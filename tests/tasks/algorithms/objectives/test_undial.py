"""Claims: UNDIAL is its float64 restatement; at b = 0 the target model is at rest; it has a floor, whatever the
student.
"""

import math
import re

import pytest
import torch

from tasks.algorithms.objectives import terms
from tasks.algorithms.objectives.undial import Undial
from tasks.settings.objectives.undial import UndialConfig
from tests.reference import objectives as reference
from tests.stand_ins.objectives import FORGET, RETAIN, TwoTokens, gradient, make_batch, make_cached, padded, rows_of


def memorised(model, texts: list = FORGET) -> list:
    """The texts with every token after the first replaced by what the model expects most: there the
    correction bites.
    """
    found = []
    for ids, supervised in texts:
        row = [ids[0]]
        while len(row) < len(ids):
            row.append(int(model(torch.tensor([row])).logits[0, -1].argmax()))
        found.append((tuple(row), supervised))
    return found


@pytest.mark.parametrize("b", [0.0, 2.0, 10.0])
@pytest.mark.parametrize("at_once", [1, 2**24])
def test_the_loss_equals_float64(pair, b: float, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms, "LOGITS_AT_ONCE", at_once)
    texts = memorised(pair.frozen)
    batch = make_batch(forget=texts)
    found, metrics = Undial(UndialConfig(b=b, retain_weight=0.5)).loss(
        pair.student, batch, make_cached(pair.frozen, batch)
    )
    forget = reference.undial(rows_of(pair.student, texts), rows_of(pair.frozen, texts), b)
    assert found.item() == pytest.approx(
        forget + 0.5 * reference.cross_entropy(rows_of(pair.student, RETAIN)), rel=2e-5
    )
    assert metrics["forget_loss_nats"].item() == pytest.approx(forget, rel=2e-5)
    if b:
        assert abs(forget - reference.undial(rows_of(pair.student, texts), rows_of(pair.frozen, texts), 0.0)) > 1e-2


def test_at_b_0_the_target_model_is_at_rest_and_otherwise_not(pair) -> None:
    batch = make_batch()
    cached = make_cached(pair.frozen, batch)
    still, pushed = (gradient(Undial(UndialConfig(b=b)), pair.frozen, batch, cached).norm().item() for b in (0.0, 10.0))
    assert still < 1e-5 < 1e-2 < pushed


@pytest.mark.parametrize("gap", [-1e4, -10.0, 0.0, 1e4])
def test_its_floor_is_the_entropy_of_the_adjusted_prediction(gap: float) -> None:
    # logits (0, 10) less 10 at token 1: a fair coin, entropy log 2
    batch = padded([((0, 1), (1, 0))], "")
    cached = make_cached(TwoTokens([0.0, 10.0]), batch | padded([((0, 1), (1, 0))], "preferred_"))
    found, _ = Undial(UndialConfig(b=10.0)).loss(TwoTokens([0.0, gap]), batch, cached)
    assert found.item() >= math.log(2) - 1e-6
    if gap == 0:
        assert found.item() == pytest.approx(math.log(2), rel=1e-6)


def test_states_of_other_positions_are_refused(pair) -> None:
    batch = make_batch()
    cached = make_cached(pair.frozen, batch)
    cached["forget_hidden"] = cached["forget_hidden"][1:]
    with pytest.raises(
        ValueError,
        match=re.escape("the cache holds 5 hidden states for this batch; wanted 6, one for each position that counts"),
    ):
        Undial(UndialConfig()).loss(pair.student, batch, cached)


def test_needs_follow_the_config() -> None:
    assert Undial(UndialConfig()).needs == {"forget_hidden"}
    assert Undial(UndialConfig(retain_weight=1, retain_loss="kl")).needs == {
        "forget_hidden",
        "retain",
        "reference_hidden",
    }


def test_a_negative_b_is_refused() -> None:
    with pytest.raises(ValueError, match="b is -1; wanted a number >= 0"):
        UndialConfig(b=-1)
