"""Claims: each check of an edit's verdict asks its own scores; what was not measured is said and counts neither way."""

from typing import Any

import pytest

from tasks.algorithms.verdicts.edits import judge_edits, limits
from tasks.settings.edit_verdict import EditVerdictConfig

CONFIG = EditVerdictConfig()
GOOD = {
    "es": 0.95,
    "rewrite_old_share": 0.05,
    "ps": 0.85,
    "ns": 0.9,
    "alteration": 0.02,
    "perplexity_ratio": 1.01,
    "ge": 4.5,
}


def rows(**changes: float | None) -> dict[str, dict[str, Any]]:
    return {
        f"edit/{name}": {"target": 5.0, "unlearned": value, "retrained": None, "ci95": None, "n": 10}
        for name, value in {**GOOD, **changes}.items()
    }


def test_good_edits_pass_and_privacy_is_not_measured() -> None:
    verdict = judge_edits(rows(), CONFIG)
    assert verdict["passed"] is True
    assert verdict["checked"] == ["forgotten", "utility_kept", "healthy", "robust"]
    assert (verdict["missing"], verdict["private"], verdict["evidence"]) == (["private"], None, "behavioural")
    assert len(verdict["reasons"]) == len(GOOD)


@pytest.mark.parametrize(
    ("check", "name", "value", "reason"),
    [
        ("forgotten", "es", 0.89, "forgotten: edit/es 0.890, wanted >= 0.900: fails"),
        ("forgotten", "rewrite_old_share", 0.11, "forgotten: edit/rewrite_old_share 0.110, wanted <= 0.100: fails"),
        ("robust", "ps", 0.79, "robust: edit/ps 0.790, wanted >= 0.800: fails"),
        ("utility_kept", "ns", 0.79, "utility_kept: edit/ns 0.790, wanted >= 0.800: fails"),
        ("utility_kept", "alteration", 0.06, "utility_kept: edit/alteration 0.060, wanted <= 0.050: fails"),
        ("utility_kept", "perplexity_ratio", 1.06, "utility_kept: edit/perplexity_ratio 1.060, wanted <= 1.050: fails"),
        ("utility_kept", "perplexity_ratio", None, "edit/perplexity_ratio is not finite, wanted <= 1.050: fails"),
        ("healthy", "ge", 3.9, "healthy: edit/ge 3.900, wanted >= 4.000: fails"),  # 0.8 of 5.0 before
    ],
)
def test_one_score_that_falls_short_fails_its_check_alone(check: str, name: str, value: float, reason: str) -> None:
    verdict = judge_edits(rows(**{name: value}), CONFIG)
    assert verdict["passed"] is False
    assert [each for each in verdict["checked"] if not verdict[each]] == [check]
    assert next(each for each in verdict["reasons"] if each.endswith("fails")).endswith(reason)


def test_a_score_at_its_threshold_holds() -> None:
    edge = rows(es=0.9, rewrite_old_share=0.1, ps=0.8, ns=0.8, alteration=0.05, perplexity_ratio=1.05, ge=4.0)
    assert judge_edits(edge, CONFIG)["passed"] is True


def test_what_was_not_measured_does_not_fail_but_without_efficacy_nothing_passes() -> None:
    alone = {"edit/es": rows()["edit/es"]}
    verdict = judge_edits(alone, CONFIG)
    assert verdict["passed"] is True
    assert verdict["missing"] == ["utility_kept", "healthy", "robust", "private"]
    nothing = judge_edits({}, CONFIG)
    assert (nothing["passed"], nothing["checked"], nothing["reasons"]) == (False, [], [])


def test_what_the_verdict_cannot_tell_is_said() -> None:
    assert len(limits({})) == 4
    assert limits(rows(portability=0.5)) == []
    assert limits({"edit/ps": {}, "edit/ns": {}, "edit/portability": {}}) == [
        "No unrelated statements were given: whether other facts changed was not asked."
    ]
