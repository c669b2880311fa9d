"""What a verdict may claim, and what it admits it cannot tell apart."""

from typing import Any

import pytest

from tasks.algorithms.verdicts.evidence import CLAIMS, limits

FULL = {"evidence": "gold", "robust": True, "private": True}
ROUNDED: dict[str, dict[str, Any]] = {"forget_test/rounded_4_probability": {}}
CHOICES: dict[str, dict[str, Any]] = {"forget_test/choice_accuracy": {}, **ROUNDED}


def test_every_tier_says_what_it_can_and_cannot_claim() -> None:
    assert set(CLAIMS) == {"gold", "proxy", "behavioural"}
    assert all("can say" in claim and "cannot" in claim for claim in CLAIMS.values())


def test_with_every_piece_of_evidence_nothing_is_left_to_admit() -> None:
    assert limits(FULL, CHOICES) == []


@pytest.mark.parametrize(
    ("verdict", "metrics", "word"),
    [
        ({**FULL, "robust": None}, CHOICES, "few steps of training"),
        (FULL, ROUNDED, "refuses to answer"),
        (FULL, {"forget_test/choice_accuracy": {}}, "rounded to fewer bits"),
        ({**FULL, "evidence": "behavioural"}, CHOICES, "removing too much"),
        ({**FULL, "private": None}, CHOICES, "Privacy was not judged"),
        (FULL, {**CHOICES, "forget/forget_quality_p": {"n": 36}}, "rests on 36 questions"),
    ],
)
def test_each_missing_piece_is_named(verdict: dict[str, Any], metrics: dict[str, Any], word: str) -> None:
    found = limits(verdict, metrics)
    assert len(found) == 1
    assert word in found[0]


def test_enough_questions_are_not_remarked_on() -> None:
    assert limits(FULL, {**CHOICES, "forget/forget_quality_p": {"n": 200}}) == []
