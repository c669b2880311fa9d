"""The scorecard: the same figures for every method, and a verdict that claims no more than its evidence."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]
CLAIMS = {
    "gold": (
        "Gold: the unlearned model was compared with a model that was trained without the forgotten text. The verdict can say that "
        "both answer alike on the questions and passages asked here; it cannot speak for what was not asked."
    ),
    "proxy": (
        "Proxy: no retrained model was at hand, but text that the target model never saw was. The verdict can say that the forgotten "
        "text now looks like text never seen; it cannot say what a model trained without it would have answered."
    ),
    "behavioural": (
        "Behavioural: neither a retrained model nor unseen text was at hand. The verdict can say that the model names the topic much "
        "less often than before; it cannot say that the knowledge is gone rather than unspoken, nor whether too much was removed."
    ),
}
"""What each tier of evidence can and cannot claim."""


@dataclass(frozen=True, kw_only=True)
class VerdictConfig:
    """What counts as forgotten, kept and healthy."""

    required: tuple[str, ...] = ("forgotten", "utility_kept", "healthy")
    """Checks that have to hold for the verdict to pass."""
    forgotten_gap: float = 0.08
    """Largest |unlearned - retrained| in probability, 0 to 1; also at most `forgotten_ratio` of |target - retrained|."""
    forgotten_ratio: float = 0.3
    """Largest share of the target model's familiarity (of its distance to the retrained model at the gold tier) that may be left."""
    retain_ratio: float = 0.9
    """Least share of the target model's probability kept on retain_test."""
    sibling_ratio: float = 0.75
    """Least share of the target model's probability kept on the sibling split."""
    perplexity_ratio: float = 1.05
    """Largest factor on the perplexity of general text; for retain_test and sibling prose see the next two fields."""
    retain_perplexity_ratio: float = 1.1
    """Largest factor on the perplexity of retain_test prose."""
    sibling_perplexity_ratio: float = 1.25
    """Largest factor on the perplexity of sibling prose."""
    empty_share: float = 0.05
    """Largest rise of the share of empty completions, 0 to 1."""
    distinct_ratio: float = 0.6
    """Least share of the target model's distinct word pairs."""
    repetition_rise: float = 0.15
    """Largest rise of the share of repeated words, 0 to 1."""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.required) - set(CHECKS))
        if unknown:
            raise ValueError(f"verdict.required names {', '.join(unknown)}; wanted some of {', '.join(CHECKS)}")


@dataclass(kw_only=True)
class Verdict:
    """What was checked, how it came out, and why."""

    forgotten: bool | None = None
    utility_kept: bool | None = None
    healthy: bool | None = None
    robust: bool | None = None
    private: bool | None = None
    evidence: str = "behavioural"
    reasons: list[str] = field(default_factory=list)

    def as_dict(self, required: tuple[str, ...]) -> dict[str, Any]:
        """Return the verdict as the scorecard holds it."""
        found = {name: getattr(self, name) for name in CHECKS}
        return {
            **found,
            "passed": all(found[name] is True for name in required),
            "evidence": self.evidence,
            "checked": [name for name, value in found.items() if value is not None],
            "missing": [name for name, value in found.items() if value is None],
            "reasons": self.reasons,
        }


CHECKS = ("forgotten", "utility_kept", "healthy", "robust", "private")


def judge(metrics: Mapping[str, Row], config: VerdictConfig) -> dict[str, Any]:
    """Judge a scorecard.

    Args:
        metrics: `split/metric` -> {target, unlearned, retrained, ci95, n}.
        config: Thresholds.

    Returns:
        The verdict, as in scorecard.v1. A check without figures is None: not measured.
    """
    verdict = Verdict()
    verdict.evidence = "gold" if any(row["retrained"] is not None for row in metrics.values()) else "behavioural"
    verdict.forgotten = _forgotten(metrics, config, verdict)
    verdict.utility_kept = _utility_kept(metrics, config, verdict.reasons)
    verdict.healthy = _healthy(metrics, config, verdict.reasons)
    return verdict.as_dict(config.required)


def _forgotten(metrics: Mapping[str, Row], config: VerdictConfig, verdict: Verdict) -> bool | None:
    """Gold: as near to the retrained model as the tolerance allows, from either side. Behavioural: little familiarity left."""
    names = [name for name in ("forget_test/probability", "forget_test/familiarity") if name in metrics]
    if not names:
        verdict.reasons.append("forgotten: not measured, since forget_test has neither questions nor anchors")
        return None
    found = []
    for name in names:
        row = metrics[name]
        if row["retrained"] is not None:
            found.append(_near_retrained(name, row, config, verdict.reasons))
        else:
            verdict.evidence = "behavioural"
            limit = config.forgotten_ratio * row["target"]
            found.append(
                _note(verdict.reasons, "forgotten", name, row["unlearned"], "<=", limit, f"{config.forgotten_ratio:g}x the target's {row['target']:.4f}")
            )
    return all(found)


def _near_retrained(name: str, row: Row, config: VerdictConfig, reasons: list[str]) -> bool:
    """The tolerance is also a share of what there was to forget, so that an untouched model cannot pass where little was known."""
    known = abs(row["target"] - row["retrained"])
    limit = min(config.forgotten_gap, config.forgotten_ratio * known)
    gap = row["unlearned"] - row["retrained"]
    low, high = (bound - row["retrained"] for bound in row["ci95"])
    why = (
        f"unlearned {row['unlearned']:.4f}, retrained {row['retrained']:.4f}, target {row['target']:.4f}; difference {gap:+.4f}, 95 % [{low:+.4f}, {high:+.4f}]"
    )
    return _note(reasons, "forgotten", f"|difference| of {name}", abs(gap), "<=", limit, why)


def _note(reasons: list[str], check: str, what: str, value: float, relation: str, limit: float, why: str = "") -> bool:
    holds = value <= limit if relation == "<=" else value >= limit
    reasons.append(f"{check}: {what} is {value:.4f}, wanted {relation} {limit:.4f}: {'holds' if holds else 'fails'}{f' ({why})' if why else ''}")
    return holds and not math.isnan(value)


def _utility_kept(metrics: Mapping[str, Row], config: VerdictConfig, reasons: list[str]) -> bool | None:
    wanted = [
        ("retain_test/probability", ">=", config.retain_ratio),
        ("sibling/probability", ">=", config.sibling_ratio),
        ("retain_test/perplexity", "<=", config.retain_perplexity_ratio),
        ("sibling/perplexity", "<=", config.sibling_perplexity_ratio),
        ("general/perplexity", "<=", config.perplexity_ratio),
    ]
    found = [
        _note(reasons, "utility_kept", f"{name} over the target's", metrics[name]["unlearned"] / metrics[name]["target"], relation, limit)
        for name, relation, limit in wanted
        if name in metrics
    ]
    if not found:
        reasons.append("utility_kept: not measured; give --retain, --sibling or --general text")
    return all(found) if found else None


def _healthy(metrics: Mapping[str, Row], config: VerdictConfig, reasons: list[str]) -> bool | None:
    wanted = [
        ("degeneration/empty_share", "<=", lambda target: target + config.empty_share),
        ("degeneration/distinct_2", ">=", lambda target: target * config.distinct_ratio),
        ("degeneration/repetition", "<=", lambda target: target + config.repetition_rise),
    ]
    found = [
        _note(reasons, "healthy", name, metrics[name]["unlearned"], relation, limit(metrics[name]["target"]))
        for name, relation, limit in wanted
        if name in metrics
    ]
    return all(found) if found else None
