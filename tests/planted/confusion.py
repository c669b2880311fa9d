"""From verdicts to a confusion table: how often each kind passed at each tier, and what failed it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scipy.stats import binomtest

MOST_FALSE_PASSES, MOST_FALSE_FAILS = 1 / 20, 2 / 20
"""What the verdict may get wrong, of a kind at a tier."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One verdict on one planted model."""

    seed: int
    topic: str
    kind: str
    tier: str
    passed: bool
    failed: tuple[str, ...]
    """Required checks that did not hold, or were not measured."""


def wilson(count: int, total: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share.

    Source: Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    found = binomtest(count, total).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def confusion(cases: Sequence[Case], good: str) -> list[dict[str, Any]]:
    """Return one row for each kind and tier, in the order in which they come.

    Args:
        cases: All verdicts.
        good: The kind that ought to pass; all others ought to fail.

    Returns:
        Rows of `kind`, `tier`, `cases`, `passed`, `wrong`, the Wilson interval of the share of wrong verdicts, whether
        it is within what is wanted, and which checks failed how often.
    """
    return [
        _row([case for case in cases if (case.kind, case.tier) == key], good)
        for key in dict.fromkeys((case.kind, case.tier) for case in cases)
    ]


def _row(cases: list[Case], good: str) -> dict[str, Any]:
    kind, passed = cases[0].kind, sum(case.passed for case in cases)
    wrong, most = (len(cases) - passed, MOST_FALSE_FAILS) if kind == good else (passed, MOST_FALSE_PASSES)
    checks = Counter(check for case in cases for check in case.failed)
    return {
        "kind": kind,
        "tier": cases[0].tier,
        "cases": len(cases),
        "passed": passed,
        "wrong": wrong,
        "wrong_ci95": [round(bound, 3) for bound in wilson(wrong, len(cases))],
        "as_wanted": wrong <= most * len(cases),
        "failed_checks": dict(checks.most_common()),
    }


def indistinct(rows: Sequence[dict[str, Any]], good: str) -> list[str]:
    """Return a sentence for each kind that its tier does not tell from its opposite as often as is wanted."""
    return [
        f"At the {row['tier']} tier {row['kind']} models {'fail' if row['kind'] == good else 'pass'} in {row['wrong']}"
        f" of {row['cases']} cases: they cannot be told apart from"
        f" {'unlearned badly' if row['kind'] == good else 'forgotten'} there."
        for row in rows
        if not row["as_wanted"]
    ]
