"""Claims: a shortfall is 0 at a limit, -1 at the ideal and 1 twice as far off, whatever the check; a card passes where
no figure of a required check is above 0 and none is unmeasured; what lacks is said with figure and limit, the worst
first.
"""

import pytest

from tasks.algorithms.verdicts.scorecard import judge
from tasks.algorithms.verdicts.shortfall import LARGEST, lacking, shortfalls, worst
from tasks.settings.verdict import VerdictConfig
from tests.tasks.algorithms.verdicts.test_scorecard import GOLD, RELEARNED, Metrics, row

CONFIG = VerdictConfig()


def amounts(metrics: Metrics) -> dict[str, float]:
    return {one.what: one.amount for one in shortfalls(metrics, CONFIG)}


@pytest.mark.parametrize(
    ("name", "figure", "what", "amount"),
    [
        # gold: limit min(0.08, 0.3 * 0.6) from 0.20
        ("forget_test/probability", row(0.8, 0.28, 0.2), "|difference| of forget_test/probability", 0.0),
        ("forget_test/probability", row(0.8, 0.20, 0.2), "|difference| of forget_test/probability", -1.0),
        ("forget_test/probability", row(0.8, 0.36, 0.2), "|difference| of forget_test/probability", 1.0),
        # 0.2 + 0.3 * 0.6 = 0.38; 0.56 is twice as far from 0.2
        (RELEARNED, row(0.8, 0.56, 0.2), RELEARNED, 1.0),
        (RELEARNED, row(0.8, 0.1, 0.2), RELEARNED, -1.0),
        # 0.9 of 0.8 is 0.72; 0.64 is twice as far below 0.8
        ("retain_test/probability", row(0.8, 0.64), "retain_test/probability", 1.0),
        ("retain_test/probability", row(0.8, 0.9), "retain_test/probability", -1.0),
        # 1.05 x 10; 11.5 is three times as far above
        ("general/perplexity", row(10.0, 11.5), "general/perplexity", 2.0),
        ("degeneration/repetition", row(0.1, 0.4), "degeneration/repetition", 1.0),
        ("degeneration/distinct_2", row(0.8, 0.48), "degeneration/distinct_2", 0.0),
    ],
)
def test_every_check_is_in_one_unit(name: str, figure: dict, what: str, amount: float) -> None:
    assert amounts({**GOLD, name: figure})[what] == pytest.approx(amount, abs=1e-9)


def test_without_a_retrained_model_the_ideal_is_nothing_left() -> None:
    rows = {name: {**value, "retrained": None} for name, value in GOLD.items() if "probability" not in name}
    assert amounts({**rows, "forget_test/familiarity": row(0.5, 0.225)})["forget_test/familiarity"] == pytest.approx(
        0.5
    )


def test_what_holds_since_there_is_too_little_text_to_tell_is_at_its_limit() -> None:
    wide = row(10.0, 10.8) | {"ci95": [10.0, 11.6]}
    assert amounts({**GOLD, "general/perplexity": wide})["general/perplexity"] == 0.0


def test_where_nothing_is_allowed_a_little_is_better_than_much_and_no_number_is_worst() -> None:
    little, much, none = (
        worst({**GOLD, "forget_test/probability": row(0.2, found, 0.2)}, CONFIG) for found in (0.21, 0.3, float("nan"))
    )
    assert 0 < little < much < none == LARGEST


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"general/perplexity": row(10.0, 11.5)},
        {"forget_test/probability": row(0.8, 0.5, 0.2)},
        {"degeneration/empty_share": row(0.0, 0.3)},
        {RELEARNED: row(0.8, 0.7, 0.2)},
    ],
)
def test_the_verdict_passes_where_nothing_is_lacking(changes: Metrics) -> None:
    metrics = {**GOLD, **changes}
    card = {"metrics": metrics, "verdict": judge(metrics, CONFIG)}
    assert card["verdict"]["passed"] == (worst(metrics, CONFIG) <= 0) == (lacking(card, CONFIG) == [])


def test_what_is_lacking_is_said_worst_first_with_what_was_not_measured() -> None:
    metrics = {**GOLD, "general/perplexity": row(10.0, 11.5), "retain_test/probability": row(0.8, 0.6)}
    metrics = {name: value for name, value in metrics.items() if "relearned" not in name}
    assert lacking({"metrics": metrics, "verdict": judge(metrics, CONFIG)}, CONFIG) == [
        "utility kept: general/perplexity is 11.5, at most 10.5 wanted",
        "utility kept: retain_test/probability is 0.6, at least 0.72 wanted",
        "robust was not measured",
    ]


def test_a_check_that_is_not_required_counts_for_nothing() -> None:
    metrics, lenient = {**GOLD, RELEARNED: row(0.8, 0.8, 0.2)}, VerdictConfig(required=("forgotten", "utility_kept"))
    assert worst(metrics, lenient) < 0 < worst(metrics, CONFIG)
    assert {one.check for one in shortfalls(metrics, lenient)} == {"forgotten", "utility_kept"}
