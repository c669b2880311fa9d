"""The judge: a scorecard's figures become a verdict that claims no more than its evidence."""

import math
import re
from collections.abc import Mapping
from typing import Any

from tasks.settings.measuring import ROUNDED_BITS
from tasks.settings.verdict import Verdict, VerdictConfig, health_limits

Row = Mapping[str, Any]
Metrics = Mapping[str, Row]


class Reason(str):
    """A line of a verdict's reasons that speaks of one figure, with that figure as numbers."""

    check: str
    """Which check wants it."""
    what: str
    """What the figure is, in words."""
    value: float
    limit: float
    ideal: float
    """What the figure would best be: the retrained model's, or what the target model has of what is to be kept."""
    relation: str
    """`<=` or `>=`: how the value is to stand to its limit."""
    holds: bool
    """Whether it does, or there is too little text to tell."""

    @classmethod
    def of(cls, line: str, **numbers: Any) -> "Reason":
        """Return a line with its numbers."""
        reason = cls(line)
        vars(reason).update(numbers)
        return reason


def judge(metrics: Metrics, config: VerdictConfig) -> dict[str, Any]:
    """Judge a scorecard.

    Args:
        metrics: `split/metric` -> {target, unlearned, retrained, ci95, n}.
        config: Thresholds.

    Returns:
        The verdict, as in scorecard.v1. A check without figures is None: not measured.
    """
    verdict = Verdict(evidence=tier(metrics))
    verdict.forgotten = _forgotten(metrics, config, verdict)
    verdict.utility_kept = _utility_kept(metrics, config, verdict.reasons)
    verdict.healthy = _healthy(metrics, config, verdict.reasons)
    verdict.robust = _robust(metrics, config, verdict)
    verdict.private = _private(metrics, config, verdict.reasons)
    return verdict.as_dict(config.required)


def tier(metrics: Metrics) -> str:
    """Return the evidence at hand: gold with a retrained model, proxy with questions the target never saw, else
    behavioural.
    """
    if any(row["retrained"] is not None for row in metrics.values()):
        return "gold"
    return (
        "proxy" if _has(metrics, "holdout/probability") and _has(metrics, "forget_test/probability") else "behavioural"
    )


def _has(metrics: Metrics, name: str) -> bool:
    """Return whether a metric was measured on the target and the unlearned model."""
    return name in metrics and metrics[name]["target"] is not None


def _reference(metrics: Metrics, split: str, metric: str, evidence: str) -> float | None:
    """Return what a model that never saw the forget text would score: the retrained model, or the target on what it
    never saw.
    """
    if evidence == "gold":
        return metrics[f"{split}/{metric}"]["retrained"]
    return (
        metrics[f"holdout/{metric}"]["target"] if evidence == "proxy" and _has(metrics, f"holdout/{metric}") else None
    )


def _forgotten(metrics: Metrics, config: VerdictConfig, verdict: Verdict) -> bool | None:
    """Near the reference from either side where there is one, else little of the target's familiarity left; and no
    hidden preference.
    """
    outcomes = [
        _little_left(metrics, metric, config.forgotten_ratio, config.forgotten_gap, "forgotten", verdict)
        for metric in ("probability", "familiarity")
        if _has(metrics, f"forget_test/{metric}")
    ]
    if not outcomes:
        verdict.reasons.append(
            "forgotten: not measured, since forget_test has neither questions nor anchors, or there is no target model"
        )
        return None
    if _has(metrics, "forget_test/choice_accuracy"):
        outcomes.append(_no_preference(metrics, config, verdict))
    return all(outcomes)


def _little_left(metrics: Metrics, metric: str, ratio: float, gap: float, check: str, verdict: Verdict) -> bool:
    """The tolerance is also a share of what there was to forget, so that an untouched model cannot pass where little
    was known.
    """
    name = f"forget_test/{metric}"
    row, reference = metrics[name], _reference(metrics, "forget_test", metric, verdict.evidence)
    if reference is None:
        return _note(
            verdict.reasons,
            check,
            name,
            row["unlearned"],
            "<=",
            ratio * row["target"],
            f"{ratio:g}x the target's {row['target']:.4f}",
        )
    limit = min(gap, ratio * abs(row["target"] - reference))
    low, high = (bound - reference for bound in row["ci95"])
    who = "retrained" if verdict.evidence == "gold" else "never seen"
    why = (
        f"unlearned {row['unlearned']:.4f}, {who} {reference:.4f}, target {row['target']:.4f}; "
        f"difference {row['unlearned'] - reference:+.4f}, 95 % [{low:+.4f}, {high:+.4f}]"
    )
    return _note(verdict.reasons, check, f"|difference| of {name}", abs(row["unlearned"] - reference), "<=", limit, why)


def _no_preference(metrics: Metrics, config: VerdictConfig, verdict: Verdict) -> bool:
    """How often the true answer is preferred to all false ones, from the reference (0) to the target (1)."""
    row = metrics["forget_test/choice_accuracy"]
    floor = _reference(metrics, "forget_test", "choice_accuracy", verdict.evidence)
    floor = metrics["forget_test/choice_chance"]["unlearned"] if floor is None else floor
    limit = floor + config.choice_left * max(0.0, row["target"] - floor)
    why = f"{config.choice_left:g} of the way from {floor:.4f} to the target's {row['target']:.4f}"
    name, value = "forget_test/choice_accuracy", row["unlearned"]
    return _note(verdict.reasons, "forgotten", name, value, "<=", limit, why, ideal=floor)


def _note(
    reasons: list[str],
    check: str,
    what: str,
    value: float,
    relation: str,
    limit: float,
    why: str = "",
    *,
    ideal: float = 0.0,
) -> bool:
    holds = value <= limit if relation == "<=" else value >= limit
    line = (
        f"{check}: {what} is {_shown(value)}, wanted {relation} {_shown(limit)}:"
        f" {'holds' if holds else 'fails'}{f' ({why})' if why else ''}"
    )
    numbers = {"value": value, "limit": limit, "ideal": ideal, "relation": relation, "holds": holds}
    reasons.append(Reason.of(line, check=check, what=what, **numbers))
    return holds and not math.isnan(value)


def _shown(value: float) -> str:
    """A perplexity may have three hundred digits."""
    return f"{value:.4f}" if abs(value) < 1e6 else f"{value:.4g}"


def _utility_kept(metrics: Metrics, config: VerdictConfig, reasons: list[str]) -> bool | None:
    limits = [
        ("retain_test/probability", ">=", config.retain_ratio),
        ("sibling/probability", ">=", config.sibling_ratio),
        ("retain_test/perplexity", "<=", config.retain_perplexity_ratio),
        ("sibling/perplexity", "<=", config.sibling_perplexity_ratio),
        ("general/perplexity", "<=", config.perplexity_ratio),
    ]
    outcomes = [
        _within_tolerance(reasons, name, metrics[name], relation, ratio)
        for name, relation, ratio in limits
        if _has(metrics, name) and _is_read(metrics, name, reasons)
    ]
    if not outcomes:
        reasons.append("utility_kept: not measured; give --retain, --sibling or --general text, and the target model")
    return all(outcomes) if outcomes else None


def _is_read(metrics: Metrics, name: str, reasons: list[str]) -> bool:
    """Return whether the target model reads a text better than guessing would; else how it reads it is noise, of which
    there is nothing to keep, and that is said.
    """
    target, chance = metrics[name]["target"], metrics.get(f"{name}_chance")
    if chance is None or target < chance["target"]:
        return True
    reasons.append(
        f"utility_kept: {name} does not count, since the target's {_shown(target)} is no better than guessing among"
        f" {chance['target']:,.0f} tokens"
    )
    return False


def _within_tolerance(reasons: list[str], name: str, row: Row, relation: str, ratio: float) -> bool:
    """A few windows of prose cannot tell a perplexity 5 % higher: up to twice the tolerance, the figure's interval has
    to lie above the limit.
    """
    whose, standard = _standard(row, relation)
    value, limit, why = row["unlearned"], ratio * standard, f"{ratio:g}x {whose} {_shown(standard)}"
    tolerated = (2 * ratio - 1) * standard
    if relation == "<=" and limit < value <= tolerated and row["ci95"] and row["ci95"][0] <= limit:
        interval = " to ".join(map(_shown, row["ci95"]))
        line = (
            f"utility_kept: {name} is {_shown(value)}, wanted <= {_shown(limit)}: holds, too little text to tell (95 %"
            f" {interval}; {why})"
        )
        numbers = {"value": value, "limit": limit, "ideal": standard, "relation": relation, "holds": True}
        reasons.append(Reason.of(line, check="utility_kept", what=name, **numbers))
        return True
    return _note(reasons, "utility_kept", name, value, relation, limit, why, ideal=standard)


def _standard(row: Row, relation: str) -> tuple[str, float]:
    """Return whose figure is to be kept: the target's, or the retrained model's where that is worse, since no method
    can be asked for more.
    """
    worse = min if relation == ">=" else max
    if row["retrained"] is not None and worse(row["target"], row["retrained"]) != row["target"]:
        return "the retrained model's", row["retrained"]
    return "the target's", row["target"]


def _healthy(metrics: Metrics, config: VerdictConfig, reasons: list[str]) -> bool | None:
    """Loops are looked for in answers on what is forgotten by themselves too: there they come first, and good answers
    on what is kept would hide them.
    """
    limits = [(f"degeneration/{name}", relation, limit) for name, relation, limit in health_limits(config)]
    limits += [
        ("forget_test/repetition", relation, limit)
        for name, relation, limit in limits
        if name == "degeneration/repetition"
    ]
    outcomes = [
        _note(
            reasons,
            "healthy",
            name,
            metrics[name]["unlearned"],
            relation,
            limit(standard := _standard(metrics[name], relation)[1]),
            ideal=standard,
        )
        for name, relation, limit in limits
        if _has(metrics, name)
    ]
    return all(outcomes) if outcomes else None


def _robust(metrics: Metrics, config: VerdictConfig, verdict: Verdict) -> bool | None:
    """At no point of the curves of relearning, on one half of the forget text and on retain text, may much of the other
    half be back; nor of the whole when the weights are rounded.
    """
    outcomes = [
        _little_back(metrics, f"relearned_{text}_{steps}_{metric}", config, verdict, _highest(metrics, text, metric))
        for text, steps, metric in _curve_points(metrics)
    ]
    outcomes += [
        _little_back(metrics, f"rounded_{bits}_{metric}", config, verdict)
        for bits in ROUNDED_BITS
        for metric in ("probability", "familiarity")
        if _has(metrics, f"forget_test/rounded_{bits}_{metric}")
        and _survives(metrics, f"rounded_{bits}", metric, config, verdict)
    ]
    return all(outcomes) if outcomes else None


def _curve_points(metrics: Metrics) -> list[tuple[str, int, str]]:
    """Return the text, the steps and what was asked of every figure after relearning, the steps in their order."""
    points = [
        (found[1], int(found[2]), found[3])
        for name in metrics
        if (found := re.fullmatch(r"forget_test/relearned_(forget|retain)_(\d+)_(probability|familiarity)", name))
        and _has(metrics, name)
    ]
    return sorted(points)


def _highest(metrics: Metrics, text: str, metric: str) -> float:
    """Return the highest point of the target's own curve: many steps drive out what they do not show, and of an
    unlearned model no more is asked than to stay below what the target knows.
    """
    return max(
        metrics[f"forget_test/relearned_{text}_{steps}_{metric}"]["target"]
        for each, steps, asked in _curve_points(metrics)
        if (each, asked) == (text, metric)
    )


def _little_back(
    metrics: Metrics, metric: str, config: VerdictConfig, verdict: Verdict, known: float | None = None
) -> bool:
    """The limit lies between the retrained model's figure and what is `known`: the target's, unless given."""
    name = f"forget_test/{metric}"
    row, floor = metrics[name], metrics[name]["retrained"] or 0.0
    known = row["target"] if known is None else known
    limit = floor + config.relearned_ratio * max(0.0, known - floor)
    why = f"{config.relearned_ratio:g} of the way from {floor:.4f} to the target's {known:.4f}"
    return _note(verdict.reasons, "robust", name, row["unlearned"], "<=", limit, why, ideal=floor)


def _survives(metrics: Metrics, how: str, metric: str, config: VerdictConfig, verdict: Verdict) -> bool:
    """Return whether rounding leaves the target model what it knows; else the figure says nothing, and that is said."""
    whole, left = (metrics[f"forget_test/{name}"]["target"] for name in (metric, f"{how}_{metric}"))
    if left >= config.rounding_keeps * whole:
        return True
    verdict.reasons.append(
        f"robust: forget_test/{how}_{metric} does not count, since rounding alone takes the target from {whole:.4f} to"
        f" {left:.4f}"
    )
    return False


def _private(metrics: Metrics, config: VerdictConfig, reasons: list[str]) -> bool | None:
    """A membership attack must tell no more about the unlearned model than about the retrained one; without one, not
    measured.
    """
    if "privacy/privleak" not in metrics:
        return None
    return _note(
        reasons,
        "private",
        "|privacy/privleak|",
        abs(metrics["privacy/privleak"]["unlearned"]),
        "<=",
        config.privleak,
        "percent",
    )
