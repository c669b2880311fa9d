"""The verdict on planted figures: what passes, what fails, what was not measured, and on what evidence."""

from typing import Any

import pytest

from tasks.algorithms.verdicts.scorecard import judge
from tasks.settings.verdict import VerdictConfig

Metrics = dict[str, dict[str, Any]]


def row(target: float, unlearned: float, retrained: float | None = None) -> dict[str, Any]:
    return {
        "target": target,
        "unlearned": unlearned,
        "retrained": retrained,
        "ci95": [unlearned - 0.01, unlearned + 0.01],
        "n": 50,
    }


RELEARNED = "forget_test/relearned_forget_10_probability"
GOLD: Metrics = {
    "forget_test/probability": row(0.80, 0.22, 0.20),
    RELEARNED: row(0.80, 0.23, 0.20),
    "retain_test/probability": row(0.80, 0.78, 0.80),
    "sibling/probability": row(0.80, 0.70, 0.80),
    "general/perplexity": row(10.0, 10.2, 10.0),
    "degeneration/empty_share": row(0.0, 0.0, 0.0),
    "degeneration/distinct_2": row(0.8, 0.75, 0.8),
    "degeneration/repetition": row(0.1, 0.12, 0.1),
    "forget_test/repetition": row(0.1, 0.24, 0.1),
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
    assert found["checked"] == ["forgotten", "utility_kept", "healthy", "robust"]
    assert found["missing"] == ["private"]


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
    ("name", "target", "unlearned"),
    [
        ("degeneration/empty_share", 0.0, 0.06),
        ("degeneration/distinct_2", 0.8, 0.47),
        ("degeneration/repetition", 0.1, 0.26),
        ("forget_test/repetition", 0.1, 0.26),
    ],
)
def test_a_model_that_no_longer_speaks_fails(name: str, target: float, unlearned: float) -> None:
    found = judge({**GOLD, name: row(target, unlearned, target)}, VerdictConfig())
    assert (found["healthy"], found["passed"]) == (False, False)


def test_health_is_measured_against_the_target_model() -> None:
    assert verdict(degeneration__repetition=row(0.5, 0.6))["healthy"] is True


def test_no_more_is_asked_of_a_method_than_of_the_retrained_model() -> None:
    """Retain answers fell from 0.8 to 0.6 although the model was trained without the topic: 0.9 * 0.6 = 0.54
    is wanted.
    """
    assert verdict(retain_test__probability=row(0.8, 0.5401, 0.6))["utility_kept"] is True
    assert verdict(retain_test__probability=row(0.8, 0.5399, 0.6))["utility_kept"] is False
    assert verdict(general__perplexity=row(10.0, 12.5, 12.0))["utility_kept"] is True  # 1.05 * 12
    assert verdict(degeneration__repetition=row(0.1, 0.44, 0.3))["healthy"] is True  # 0.3 + 0.15


def test_a_better_retrained_model_raises_no_bar() -> None:
    assert verdict(retain_test__probability=row(0.8, 0.7201, 0.95))["utility_kept"] is True


def test_what_was_not_measured_is_null_and_does_not_pass() -> None:
    found = judge({"forget_test/probability": GOLD["forget_test/probability"]}, VerdictConfig())
    assert (found["utility_kept"], found["healthy"], found["passed"]) == (None, None, False)
    assert found["missing"] == ["utility_kept", "healthy", "robust", "private"]
    nothing = judge({}, VerdictConfig())
    assert (nothing["forgotten"], nothing["evidence"]) == (None, "behavioural")
    assert "not measured" in nothing["reasons"][0]


def test_only_required_checks_decide() -> None:
    forgotten = judge(
        {"forget_test/probability": GOLD["forget_test/probability"]}, VerdictConfig(required=("forgotten",))
    )
    assert forgotten["passed"] is True
    assert verdict(VerdictConfig(required=("forgotten", "private")))["passed"] is False


def test_without_a_retrained_model_the_evidence_is_behavioural() -> None:
    assert behavioural(0.15)["evidence"] == "behavioural"
    assert behavioural(0.1499)["forgotten"] is True
    assert behavioural(0.1501)["forgotten"] is False
    assert behavioural(0.0)["passed"] is True


def test_figures_that_are_no_numbers_hold_nothing() -> None:
    assert verdict(retain_test__probability=row(0.8, float("nan"), 0.8))["utility_kept"] is False


def test_an_unknown_check_is_refused() -> None:
    with pytest.raises(ValueError, match=r"verdict\.required names pretty; wanted some of forgotten"):
        VerdictConfig(required=("pretty",))


def proxy(unlearned: float, **changes: dict[str, Any]) -> dict[str, Any]:
    """Judge a run without a retrained model, but with questions the target never saw, which it answers with 0.1."""
    rows = {name: {**value, "retrained": None} for name, value in GOLD.items()}
    rows |= {"forget_test/probability": row(0.8, unlearned), "holdout/probability": row(0.1, 0.1)}
    return judge(rows | {name.replace("__", "/"): value for name, value in changes.items()}, VerdictConfig())


@pytest.mark.parametrize(
    ("unlearned", "forgotten"), [(0.1799, True), (0.1801, False), (0.0201, True), (0.0199, False), (0.8, False)]
)
def test_at_the_proxy_tier_the_forgotten_is_answered_like_what_was_never_seen(
    unlearned: float, forgotten: bool
) -> None:
    found = proxy(unlearned)
    assert found["evidence"] == "proxy"
    assert found["forgotten"] is forgotten
    assert "never seen 0.1000" in found["reasons"][0]


def test_the_reference_is_the_target_on_the_holdout_not_the_unlearned_model_whose_ruin_would_lower_it() -> None:
    assert proxy(0.0, holdout__probability=row(0.1, 0.0))["forgotten"] is False  # 0.1 below what was never seen


def test_a_holdout_without_questions_is_no_proxy() -> None:
    rows = {name: {**value, "retrained": None} for name, value in GOLD.items()} | {
        "holdout/perplexity": row(30.0, 31.0)
    }
    assert judge(rows, VerdictConfig())["evidence"] == "behavioural"


def preference(unlearned: float, retrained: float | None) -> Metrics:
    return {
        "forget_test/choice_accuracy": row(1.0, unlearned, retrained),
        "forget_test/choice_chance": row(0.2, 0.2, retrained and 0.2),
    }


@pytest.mark.parametrize(("unlearned", "forgotten"), [(0.2, True), (0.8499, True), (0.8501, False), (1.0, False)])
def test_a_true_answer_still_preferred_to_false_ones_is_not_forgotten(unlearned: float, forgotten: bool) -> None:
    """0.25 of the retrained model's answers are right by luck: 0.25 + 0.8 * (1 - 0.25) = 0.85."""
    found = judge({**GOLD, **preference(unlearned, 0.25)}, VerdictConfig())
    assert found["forgotten"] is forgotten


@pytest.mark.parametrize(("unlearned", "forgotten"), [(0.8399, True), (0.8401, False)])
def test_without_a_reference_the_preference_is_measured_from_chance(unlearned: float, forgotten: bool) -> None:
    rows = {name: {**value, "retrained": None} for name, value in GOLD.items()}
    found = judge(rows | {"forget_test/probability": row(0.8, 0.1)} | preference(unlearned, None), VerdictConfig())
    assert found["evidence"] == "behavioural"
    assert found["forgotten"] is forgotten  # 0.2 + 0.8 * 0.8


@pytest.mark.parametrize(
    ("name", "limit"), [("degeneration/leaked_strings", 0.2), ("degeneration/teacher_perplexity", 20.0 * 0.1)]
)
def test_leaks_and_surprising_completions_are_ill_health(name: str, limit: float) -> None:
    assert judge({**GOLD, name: row(0.1, limit - 1e-6, 0.1)}, VerdictConfig())["healthy"] is True
    assert judge({**GOLD, name: row(0.1, limit + 1e-6, 0.1)}, VerdictConfig())["healthy"] is False


def test_what_comes_back_after_a_few_steps_was_hidden() -> None:
    # 0.2 + 0.3 * (0.8 - 0.2)
    back, gone = ({**GOLD, RELEARNED: row(0.8, after, 0.2)} for after in (0.3801, 0.3799))
    assert (judge(back, VerdictConfig())["robust"], judge(gone, VerdictConfig())["robust"]) == (False, True)
    assert (judge(back, VerdictConfig())["passed"], judge(gone, VerdictConfig())["passed"]) == (False, True)
    assert judge(back, VerdictConfig(required=("forgotten",)))["passed"] is True


@pytest.mark.parametrize("point", ["forget_1", "forget_30", "retain_1", "retain_30"])
def test_every_point_of_the_curves_counts(point: str) -> None:
    back = {**GOLD, f"forget_test/relearned_{point}_probability": row(0.8, 0.3801, 0.2)}
    found = judge(back, VerdictConfig())
    assert found["robust"] is False
    assert [reason for reason in found["reasons"] if reason.startswith(f"robust: forget_test/relearned_{point}_")]


def test_a_point_is_held_against_the_highest_of_the_targets_curve() -> None:
    """Where many steps drive the rest out of the target too, that is no reason to ask for more."""
    late = "forget_test/relearned_forget_30_probability"
    for after, robust in ((0.3799, True), (0.3801, False)):
        assert judge({**GOLD, late: row(0.3, after, 0.2)}, VerdictConfig())["robust"] is robust
    elsewhere = "forget_test/relearned_retain_30_probability"  # a curve of its own
    assert judge({**GOLD, elsewhere: row(0.3, 0.3799, 0.2)}, VerdictConfig())["robust"] is False


def test_points_are_given_in_the_order_of_their_steps() -> None:
    points = {f"forget_test/relearned_retain_{steps}_probability": row(0.8, 0.2, 0.2) for steps in (30, 3, 10)}
    reasons = [reason for reason in judge({**GOLD, **points}, VerdictConfig())["reasons"] if "relearned" in reason]
    shown = ["forget_10", "retain_3", "retain_10", "retain_30"]
    assert [reason.split("relearned_")[1].split("_probability")[0] for reason in reasons] == shown


def test_a_model_that_relearns_worse_than_the_retrained_one_is_robust_all_the_same() -> None:
    assert verdict(forget_test__relearned_forget_10_probability=row(0.8, 0.0, 0.2))["robust"] is True


def test_robustness_without_a_retrained_model_is_a_share_of_the_targets() -> None:
    rows = {name: {**value, "retrained": None} for name, value in GOLD.items()}
    found = judge(rows | {RELEARNED: row(0.8, 0.25)}, VerdictConfig())
    assert found["robust"] is False  # 0.25 > 0.3 * 0.8
    assert judge(rows | {RELEARNED: row(0.8, 0.23)}, VerdictConfig())["robust"] is True


@pytest.mark.parametrize(("after", "robust"), [(0.3799, True), (0.3801, False)])
@pytest.mark.parametrize("bits", [8, 4])
def test_what_comes_back_when_weights_are_rounded_was_hidden(bits: int, after: float, robust: bool) -> None:
    found = judge({**GOLD, f"forget_test/rounded_{bits}_probability": row(0.8, after, 0.2)}, VerdictConfig())
    assert found["robust"] is robust
    assert any(reason.startswith(f"robust: forget_test/rounded_{bits}_") for reason in found["reasons"])


def test_a_rounding_that_ruins_the_target_does_not_count_and_says_so() -> None:
    whole = GOLD["forget_test/probability"]["target"]
    rows = {**GOLD, "forget_test/rounded_4_probability": row(whole * 0.49, whole * 0.49, 0.0)}
    found = judge(rows, VerdictConfig())
    assert found["robust"] is judge(GOLD, VerdictConfig())["robust"]
    assert any("does not count, since rounding alone takes the target" in reason for reason in found["reasons"])
    alone = {name: value for name, value in rows.items() if "relearned" not in name}
    assert judge(alone, VerdictConfig())["robust"] is None
    assert judge(alone, VerdictConfig(rounding_keeps=0.4))["robust"] is False


@pytest.mark.parametrize(("leak", "private"), [(9.9, True), (-9.9, True), (10.1, False), (-10.1, False)])
def test_privacy_is_two_sided_and_null_without_its_evidence(leak: float, private: bool) -> None:
    assert judge({**GOLD, "privacy/privleak": row(40.0, leak)}, VerdictConfig())["private"] is private
    assert verdict()["private"] is None


def test_a_model_judged_without_its_target_is_not_measured() -> None:
    rows = {name: {**value, "target": None, "retrained": None} for name, value in GOLD.items()}
    found = judge(rows, VerdictConfig())
    assert (found["forgotten"], found["utility_kept"], found["healthy"], found["passed"]) == (None, None, None, False)


@pytest.mark.parametrize("split", ["general", "retain_test", "sibling"])
@pytest.mark.parametrize(("target", "kept"), [(999.0, False), (1000.0, True), (1500.0, True)])
def test_a_text_that_the_target_reads_no_better_than_by_guessing_limits_nothing(
    split: str, target: float, kept: bool
) -> None:
    """Claims: of a perplexity at that of guessing, or above, nothing is to be kept; just below it all is."""
    chance = {f"{split}__perplexity_chance": row(1000.0, 1000.0)}
    found = verdict(**{f"{split}__perplexity": row(target, 2 * target)}, **chance)
    assert found["utility_kept"] is kept
    said = (
        f"utility_kept: {split}/perplexity does not count, since the target's {target:.4f} is no better than guessing"
    )
    assert any(reason.startswith(f"{said} among 1,000 tokens") for reason in found["reasons"]) is kept


def test_where_only_such_a_text_is_given_utility_is_not_measured() -> None:
    kept = {name.replace("/", "__"): None for name in GOLD if name.endswith("/probability") and "forget" not in name}
    found = verdict(general__perplexity=row(20.0, 20.0), general__perplexity_chance=row(10.0, 10.0), **kept)
    assert found["utility_kept"] is None
    assert not found["passed"]


@pytest.mark.parametrize(
    ("value", "low", "kept"),
    [
        (10.6, 10.3, True),  # 10.5 is the limit, and the interval reaches below it
        (10.6, 10.55, False),
        (10.99, 10.5, True),
        (11.01, 10.0, False),  # more than twice the tolerance is too much, however little text there is
    ],
)
def test_a_perplexity_that_the_text_cannot_tell_from_the_limit_is_let_pass(
    value: float, low: float, kept: bool
) -> None:
    found = verdict(general__perplexity={**row(10.0, value, 10.0), "ci95": [low, value + 1]})
    assert found["utility_kept"] is kept
    assert any("too little text to tell" in reason for reason in found["reasons"]) is kept


def test_a_probability_is_let_off_by_no_interval() -> None:
    assert verdict(retain_test__probability={**row(0.8, 0.71, 0.8), "ci95": [0.5, 0.9]})["utility_kept"] is False
