"""The judge of edits: the same checks as for unlearning, on the scores of CounterFact.

`forgotten` asks the edited prompts themselves, `robust` their paraphrases, `utility_kept` what is said of others and of
nothing in particular, `healthy` what the model writes about the subject. Which of them have to hold is the same for
all edits; a check without figures is not measured, and does not count against them.
"""

from collections.abc import Mapping
from typing import Any

from tasks.settings.edit_verdict import EditVerdictConfig

Row = Mapping[str, Any]
CLAIM = (
    "Behavioural: the edited model was asked in the words of the edits, in other words where there were any, and about"
    " others. The verdict can say what the model answers now; it cannot say that the old fact is gone from its weights,"
    " nor what it answers to what was not asked."
)
Limit = tuple[str, str, str, float]
"""Check, metric, relation, threshold."""


def judge_edits(metrics: Mapping[str, Row], config: EditVerdictConfig) -> dict[str, Any]:
    """Judge edits.

    Args:
        metrics: `edit/...` -> {target, unlearned, retrained, ci95, n}; `target` is the model before.
        config: Thresholds.

    Returns:
        The verdict, as in scorecard.v1.
    """
    outcomes: dict[str, list[bool]] = {}
    reasons = []
    for check, name, relation, threshold in _limits(metrics, config):
        row = metrics.get(f"edit/{name}")
        if row is None:
            continue
        value = row["unlearned"]
        holds = value is not None and (value >= threshold if relation == ">=" else value <= threshold)
        outcomes.setdefault(check, []).append(holds)
        found = "is not finite" if value is None else f"{value:.3f}"
        reasons.append(
            f"{check}: edit/{name} {found}, wanted {relation} {threshold:.3f}: {'holds' if holds else 'fails'}"
        )
    checks: dict[str, bool | None] = {
        name: all(outcomes[name]) if name in outcomes else None
        for name in ("forgotten", "utility_kept", "healthy", "robust", "private")
    }
    return {
        **checks,
        "passed": checks["forgotten"] is True and False not in checks.values(),
        "evidence": "behavioural",
        "checked": [name for name, value in checks.items() if value is not None],
        "missing": [name for name, value in checks.items() if value is None],
        "reasons": reasons,
    }


def limits(metrics: Mapping[str, Row]) -> list[str]:
    """Return in plain words what this verdict cannot tell, for want of prompts."""
    wanted = {
        "ps": "No paraphrases were given: the edit may hold in the words of its prompt only.",
        "ns": "No prompts about neighbors were given: others with the old object may have changed with it.",
        "alteration": "No unrelated statements were given: whether other facts changed was not asked.",
        "portability": "What follows from the new facts was not asked.",
    }
    return [words for name, words in wanted.items() if f"edit/{name}" not in metrics]


def _limits(metrics: Mapping[str, Row], config: EditVerdictConfig) -> list[Limit]:
    found: list[Limit] = [
        ("forgotten", "es", ">=", config.efficacy),
        ("forgotten", "rewrite_old_share", "<=", config.old_left),
        ("robust", "ps", ">=", config.paraphrase),
        ("utility_kept", "ns", ">=", config.neighborhood),
        ("utility_kept", "alteration", "<=", config.alteration),
        ("utility_kept", "perplexity_ratio", "<=", config.perplexity_ratio),
    ]
    before = metrics.get("edit/ge", {}).get("target")
    return [*found, ("healthy", "ge", ">=", config.entropy * before)] if before is not None else found
