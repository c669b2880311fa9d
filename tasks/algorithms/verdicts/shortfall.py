"""How far a scorecard is from passing, figure by figure, in one unit: what the verdict allows.

    shortfall = (value - ideal) / (limit - ideal) - 1

At the limit it is 0; what is ideal (the retrained model's figure of what is to be forgotten, the target model's of what
is to be kept) has -1; +1 is twice as far from the ideal as the verdict allows. So a perplexity of 1.2 times the
target's where 1.1 is allowed is as bad as 0.6 of what was known where 0.3 may be left.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.algorithms.verdicts.scorecard import Metrics, Reason, judge
from tasks.settings.verdict import Check, VerdictConfig

LEAST_ALLOWED = 0.01
"""What is taken to be allowed at least, as a share of the figure's limit."""
LARGEST = 1e6
"""Stands for a shortfall that is larger, or of a figure that is none."""


@dataclass(frozen=True, kw_only=True)
class Shortfall:
    """One figure of a verdict against its limit."""

    check: Check
    what: str
    """Its name, in words."""
    amount: float
    """In the unit above, at least -1, at most `LARGEST`; 0 or less where it holds."""
    fails: bool
    words: str
    """How it stands."""


def shortfalls(metrics: Metrics, config: VerdictConfig) -> list[Shortfall]:
    """Return the shortfalls of all figures that required checks look at, the worst first.

    A required check without figures has none here: see `lacking`.

    Args:
        metrics: Of a scorecard.v1, `split/metric` -> {target, unlearned, retrained, ci95, n}.
        config: Thresholds, and which checks are required.
    """
    reasons = judge(metrics, config)["reasons"]
    found = [_shortfall(one) for one in reasons if isinstance(one, Reason) and one.check in config.required]
    return sorted(found, key=lambda one: -one.amount)


def worst(metrics: Metrics, config: VerdictConfig) -> float:
    """Return the largest shortfall; where no required check has figures, the largest there is."""
    return next((one.amount for one in shortfalls(metrics, config)), LARGEST)


def lacking(card: Mapping[str, Any], config: VerdictConfig) -> list[str]:
    """Return in words what a scorecard lacks to pass: figures beyond their limits, the worst first, and checks that
    were not measured.
    """
    unmeasured = [check for check in config.required if card["verdict"][check] is None]
    failed = [one.words for one in shortfalls(card["metrics"], config) if one.fails]
    return failed + [f"{check.replace('_', ' ')} was not measured" for check in unmeasured]


def _shortfall(reason: Reason) -> Shortfall:
    fails = not reason.holds
    return Shortfall(check=reason.check, what=reason.what, amount=_amount(reason), fails=fails, words=_words(reason))


def _amount(reason: Reason) -> float:
    side = 1.0 if reason.relation == "<=" else -1.0
    beyond, allowed = side * (reason.value - reason.ideal), side * (reason.limit - reason.ideal)
    if math.isnan(beyond):
        return LARGEST
    # nothing may be allowed, as where the target never knew it: a little beyond is then still better than much
    least = max(LEAST_ALLOWED * max(abs(reason.limit), abs(reason.ideal)), 1e-6)
    amount = max(-1.0, beyond / max(allowed, least) - 1.0)
    return min(amount, 0.0) if reason.holds else min(max(amount, 0.0), LARGEST)


def _words(reason: Reason) -> str:
    check = reason.check.replace("_", " ")
    if reason.holds:
        return f"{check}: {reason.what} holds"
    side = "at most" if reason.relation == "<=" else "at least"
    return f"{check}: {reason.what} is {reason.value:.4g}, {side} {reason.limit:.4g} wanted"
