"""The verdict on planted figures: what passes, what fails, what was not measured, and on what evidence."""

from typing import Any

import pytest

from tasks.algorithms.scorecard import CLAIMS, VerdictConfig, judge

Metrics = dict[str, dict[str, Any]]


def row(target: float, unlearned: float, retrained: float | None = None) -> dict[str, Any]:
    return {"target": target, "unlearned": unlearned, "retrained": retrained, "ci95": [unlearned - 0.01, unlearned + 0.01], "n": 50}


GOLD: Metrics = {
    "forget_test/probability": row(0.80, 0.22, 0.20),
    "retain_test/probability": row(0.80, 0.78, 0.80),
    "sibling/probability": row(0.80, 0.70, 0.80),
    "general/perplexity": row(10.0, 10.2, 10.0),
    "degeneration/empty_share": row(0.0, 0.0, 0.0),
    "degeneration/distinct_2": row(0.8, 0.75, 0.8),
    "degeneration/repetition": row(0.1, 0.12, 0.1),
}
"""A model that answers as one that never saw the topic, and is otherwise as before."""


def verdict(config: VerdictConfig = VerdictConfig(), **changes: dict[str, Any] | None) -> dict[str, Any]:
    """Judge GOLD with some rows changed, or left out where None."""
    named = {name.replace("__", "/"): value for name, value in changes.items()}
    return judge({name: value for name, value in {**GOLD, **named}.items() if value is not None}, config)


def behavioural(unlearned: float) -> dict[str, Any]:
    """Judge a run without a retrained model that left `unlearned` of a familiarity of 0.5."""
    rows = {name: {**value, "retrained": None} for name, value in GOLD.items() if name != "forget_test/probability"}
    return judge({**rows, "forget_test/familiarity": row(0.5, unlearned)}, VerdictConfig())


def test_a_model_like_the_retrained_one_passes_on_gold_evidence() -> None:
    found = verdict()
    assert (found["forgotten"], found["utility_kept"], found["healthy"], found["passed"]) == (True, True, True, True)
    assert found["evidence"] == "gold"
    assert found["checked"] == ["forgotten", "utility_kept", "healthy"]
    assert found["missing"] == ["robust", "private"]


def test_an_untouched_model_fails() -> None:
    found = verdict(forget_test__probability=row(0.80, 0.80, 0.20))
    assert (found["forgotten"], found["passed"]) == (False, False)
    assert found["utility_kept"]


def test_an_untouched_model_fails_even_where_little_was_known() -> None:
    # |0.30 - 0.25| = 0.05 is within 0.08, but it is all that there was to forget: the limit is 0.3 * 0.05 = 0.015.
    assert verdict(forget_test__probability=row(0.30, 0.30, 0.25))["forgotten"] is False
    assert verdict(forget_test__probability=row(0.30, 0.26, 0.25))["forgotten"] is True


def test_overshoot_fails() -> None:
    found = verdict(forget_test__probability=row(0.80, 0.02, 0.20))
    assert found["forgotten"] is False
    assert "difference -0.1800, 95 % [-0.1900, -0.1700]" in found["reasons"][0]


@pytest.mark.parametrize(("unlearned", "forgotten"), [(0.2799, True), (0.2801, False), (0.1201, True), (0.1199, False)])
def test_the_tolerance_is_two_sided(unlearned: float, forgotten: bool) -> None:
    assert verdict(forget_test__probability=row(0.80, unlearned, 0.20))["forgotten"] is forgotten


def test_every_forget_figure_has_to_hold() -> None:
    assert verdict(forget_test__familiarity=row(0.5, 0.5, 0.01))["forgotten"] is False
    assert verdict(forget_test__familiarity=row(0.5, 0.02, 0.01))["forgotten"] is True


@pytest.mark.parametrize(
    ("name", "target", "unlearned"),
    [
        ("retain_test/probability", 0.8, 0.71),
        ("sibling/probability", 0.8, 0.59),
        ("general/perplexity", 10.0, 10.6),
        ("retain_test/perplexity", 10.0, 11.1),
        ("sibling/perplexity", 10.0, 12.6),
    ],
)
def test_lost_utility_fails(name: str, target: float, unlearned: float) -> None:
    found = judge({**GOLD, name: row(target, unlearned, target)}, VerdictConfig())
    assert (found["utility_kept"], found["passed"]) == (False, False)
    assert [reason for reason in found["reasons"] if name in reason and "fails" in reason]


@pytest.mark.parametrize(
    ("name", "target", "unlearned"), [("degeneration/empty_share", 0.0, 0.06), ("degeneration/distinct_2", 0.8, 0.47), ("degeneration/repetition", 0.1, 0.26)]
)
def test_a_model_that_no_longer_speaks_fails(name: str, target: float, unlearned: float) -> None:
    found = judge({**GOLD, name: row(target, unlearned, target)}, VerdictConfig())
    assert (found["healthy"], found["passed"]) == (False, False)


def test_health_is_measured_against_the_target_model() -> None:
    assert verdict(degeneration__repetition=row(0.5, 0.6))["healthy"] is True


def test_what_was_not_measured_is_null_and_does_not_pass() -> None:
    found = judge({"forget_test/probability": GOLD["forget_test/probability"]}, VerdictConfig())
    assert (found["utility_kept"], found["healthy"], found["passed"]) == (None, None, False)
    assert found["missing"] == ["utility_kept", "healthy", "robust", "private"]
    nothing = judge({}, VerdictConfig())
    assert (nothing["forgotten"], nothing["evidence"]) == (None, "behavioural")
    assert "not measured" in nothing["reasons"][0]


def test_only_required_checks_decide() -> None:
    forgotten = judge({"forget_test/probability": GOLD["forget_test/probability"]}, VerdictConfig(required=("forgotten",)))
    assert forgotten["passed"] is True
    assert verdict(VerdictConfig(required=("forgotten", "private")))["passed"] is False


def test_without_a_retrained_model_the_evidence_is_behavioural() -> None:
    assert behavioural(0.15)["evidence"] == "behavioural"
    assert behavioural(0.1499)["forgotten"] is True
    assert behavioural(0.1501)["forgotten"] is False
    assert behavioural(0.0)["passed"] is True


def test_figures_that_are_no_numbers_hold_nothing() -> None:
    assert verdict(retain_test__probability=row(0.8, float("nan"), 0.8))["utility_kept"] is False


def test_every_tier_says_what_it_can_and_cannot_claim() -> None:
    assert set(CLAIMS) == {"gold", "proxy", "behavioural"}
    assert all("can" in claim and "cannot" in claim for claim in CLAIMS.values())


def test_an_unknown_check_is_refused() -> None:
    with pytest.raises(ValueError, match=r"verdict\.required names pretty; wanted some of forgotten"):
        VerdictConfig(required=("pretty",))
