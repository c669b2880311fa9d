"""Tables across runs: ratios, intervals, fronts and paired tests worked out by hand."""

from pathlib import Path
from typing import Any

import pandas
import pytest

from tasks.artifacts import ComparedRun
from tasks.reporting.run_tables import (
    COMPARED,
    all_figures,
    paired_tests,
    remarks,
    seconds_of_making,
    shared_metric,
    summary,
    trade_off,
)
from tests.stand_ins.cards import card, compared, items

PROBABILITY, KEPT = "forget_test/probability", "retain_test/probability"
STRONG = card({PROBABILITY: (0.8, 0.08, 0.04), KEPT: (0.5, 0.4, 0.45)})
MILD = card({PROBABILITY: (0.8, 0.4, 0.04), KEPT: (0.5, 0.5, 0.45)}, passed=False)
LOST = card({PROBABILITY: (0.8, 0.4, 0.04), KEPT: (0.5, 0.25, 0.45)})


@pytest.fixture
def runs(lethe_home: Path) -> list[ComparedRun]:
    return [compared(name, found) for name, found in (("strong", STRONG), ("mild", MILD), ("lost", LOST))]


def test_figures_are_put_over_the_targets(runs: list[ComparedRun]) -> None:
    frame = all_figures(runs, [STRONG, MILD, LOST])
    assert len(frame) == 6
    row = frame[(frame.run == "strong") & (frame.metric == PROBABILITY)].iloc[0]
    # 0.08 / 0.8; (0.08 -+ 0.02) / 0.8; 0.04 / 0.8
    assert [row.ratio, row.ratio_low, row.ratio_high, row.ratio_retrained] == pytest.approx([0.1, 0.075, 0.125, 0.05])


@pytest.mark.parametrize("target", [None, 0.0])
def test_without_a_figure_of_the_target_there_is_no_ratio(lethe_home: Path, target: float | None) -> None:
    found = card({PROBABILITY: (target, 0.1, None)})
    row = all_figures([compared("only", found)], [found]).iloc[0]
    assert row.unlearned == 0.1
    assert row[["ratio", "ratio_low", "ratio_high", "ratio_retrained"]].isna().all()


def test_the_summary_has_a_row_a_run(runs: list[ComparedRun]) -> None:
    cards = [STRONG, MILD, LOST]
    frame = summary(runs, cards, all_figures(runs, cards)).set_index("run")
    assert list(frame.index) == ["strong", "mild", "lost"]
    assert list(frame.passed) == [True, False, True]
    assert frame.loc["mild", [KEPT, f"{KEPT}.low", f"{KEPT}.high", f"{KEPT}.ratio"]].tolist() == pytest.approx(
        [0.5, 0.48, 0.52, 1.0]
    )
    assert not [column for column in frame.columns if column.startswith("sibling")]
    assert PROBABILITY in COMPARED


def test_the_seconds_of_making_leave_out_what_judging_took() -> None:
    assert seconds_of_making(STRONG) == 80.5  # finetune and labels
    assert seconds_of_making({**STRONG, "cost": {"corpus": 1.0, "probing unlearned": 9.0}}) is None
    assert seconds_of_making({**STRONG, "provenance": {"method": "evaluation"}}) is None
    assert seconds_of_making({name: value for name, value in STRONG.items() if name != "cost"}) is None


def test_the_axis_is_the_first_metric_that_all_runs_have(lethe_home: Path) -> None:
    both = card({PROBABILITY: (0.8, 0.1, None), "forget_test/familiarity": (0.4, 0.1, None)})
    prose = card({"forget_test/familiarity": (0.4, 0.2, None)})
    names = (PROBABILITY, "forget_test/familiarity")

    def chosen(*cards: dict[str, Any]) -> str:
        return shared_metric(
            all_figures([compared(str(place), found) for place, found in enumerate(cards)], cards), names
        )

    assert chosen(both, both) == PROBABILITY
    assert chosen(both, prose) == "forget_test/familiarity"
    # no metric is shared: the first that any has
    assert chosen(prose, card({PROBABILITY: (0.8, 0.1, None)})) == PROBABILITY
    assert chosen(card({KEPT: (0.5, 0.4, None)})) == ""


def test_the_front_holds_the_runs_that_no_other_beats(runs: list[ComparedRun]) -> None:
    points = trade_off(all_figures(runs, [STRONG, MILD, LOST]), PROBABILITY, KEPT).set_index("run")
    assert points.left.tolist() == pytest.approx([0.1, 0.5, 0.5])
    assert points.kept.tolist() == pytest.approx([0.8, 1.0, 0.5])
    assert points.front.tolist() == [True, True, False]  # `lost` leaves as much as `mild` and keeps less
    assert points.loc["mild", ["kept_low", "kept_high", "kept_retrained"]].tolist() == pytest.approx([0.96, 1.04, 0.9])


def test_a_run_without_one_of_the_metrics_has_no_point(lethe_home: Path) -> None:
    half = card({PROBABILITY: (0.8, 0.1, None)})
    found = all_figures([compared("whole", STRONG), compared("half", half)], [STRONG, half])
    assert trade_off(found, PROBABILITY, KEPT).run.tolist() == ["whole"]


def pair(
    mine: Any, first: Any, *, mine_card: dict[str, Any] = STRONG, first_card: dict[str, Any] = STRONG
) -> "pandas.DataFrame":
    runs = [compared("first", first_card), compared("other", mine_card)]
    return paired_tests(runs, [first_card, mine_card], [first, mine])


def test_items_are_paired_by_name_and_not_by_place(lethe_home: Path) -> None:
    first = items(PROBABILITY, [0.1, 0.2, 0.3, 0.4])
    (row,) = pair(items(PROBABILITY, [0.2, 0.3, 0.5, 0.6]).iloc[[2, 0, 3, 1]], first).itertuples()
    assert (row.run, row.against, row.metric, row.n, row.statistic) == ("other", "first", PROBABILITY, 4, "mean")
    assert row.difference == pytest.approx(0.15)  # (0.1 + 0.1 + 0.2 + 0.2) / 4
    assert row.p_value == pytest.approx(0.125)  # all four differ to one side: 2 of the 16 sign flips are as far out
    assert row.low < row.difference < row.high
    assert row.reason is None


def test_equal_models_do_not_differ(lethe_home: Path) -> None:
    held = items(PROBABILITY, [0.1, 0.2, 0.3])
    (row,) = pair(held, held).itertuples()
    assert (row.difference, row.p_value) == (0.0, 1.0)


def test_windows_weigh_as_much_as_they_have_tokens(lethe_home: Path) -> None:
    first = items("forget_test/perplexity", [-1.0, -2.0, -3.0], statistic="exp_neg").assign(weight=[2, 1, 1])
    (row,) = pair(first.assign(value=[-2.0, -2.0, -3.0]), first).itertuples()
    assert row.difference == pytest.approx(-0.5)  # (2 * -1 + 0 + 0) / 4


def test_only_the_unlearned_models_are_compared(lethe_home: Path) -> None:
    first = items(PROBABILITY, [0.1, 0.2])
    both = pandas.concat([items(PROBABILITY, [0.9, 0.9], model="target"), first])
    (row,) = pair(both, first).itertuples()
    assert row.difference == 0.0


def test_several_items_of_one_name_are_paired_in_their_order(lethe_home: Path) -> None:
    first = items(PROBABILITY, [0.1, 0.2, 0.3]).assign(cluster=["a", "a", "b"], item=[0, 0, 1])
    (row,) = pair(first.assign(value=[0.2, 0.3, 0.4]), first).itertuples()
    assert (row.n, row.difference) == (3, pytest.approx(0.1))


OTHER_TEXT = {"forget data": "b"}


@pytest.mark.parametrize(
    ("mine", "first", "mine_card", "reason"),
    [
        (None, items(PROBABILITY, [0.1, 0.2]), STRONG, "no items.parquet in other"),
        (None, None, STRONG, "no items.parquet in first and other"),
        (
            items(PROBABILITY, [0.1, 0.2, 0.3]),
            items(PROBABILITY, [0.1, 0.2]),
            STRONG,
            "other items: 2 in common of 3 and 2",
        ),
        (items(KEPT, [0.1, 0.2]), items(PROBABILITY, [0.1, 0.2]), STRONG, "one of the runs has no such metric"),
        (items(PROBABILITY, [0.1]), items(PROBABILITY, [0.1]), STRONG, "1 independent item; wanted 2 or more"),
        (
            items(PROBABILITY, [0.1, 0.2]),
            items(PROBABILITY, [0.1, 0.2]),
            card({PROBABILITY: (0.8, 0.1, None)}, **OTHER_TEXT),
            "judged on different text",
        ),
    ],
    ids=["no items", "no items at all", "other items", "no such metric", "one item", "other text"],
)
def test_where_no_test_can_be_made_the_reason_is_said_once(
    lethe_home: Path, mine: Any, first: Any, mine_card: dict[str, Any], reason: str
) -> None:
    (row,) = pair(mine, first, mine_card=mine_card).itertuples()
    assert row.metric is None
    assert reason in row.reason
    assert pandas.isna(row.p_value)


def test_metrics_of_text_that_both_share_are_tested_even_if_other_text_differs(lethe_home: Path) -> None:
    held = pandas.concat([items(PROBABILITY, [0.1, 0.2]), items("sibling/probability", [0.1, 0.2])])
    cards = [card({PROBABILITY: (0.8, 0.1, None)}, **{"forget data": text, "sibling data": "c"}) for text in ("a", "b")]
    found = pair(held, held, mine_card=cards[0], first_card=cards[1]).set_index("metric")
    assert found.loc["sibling/probability", "n"] == 2
    assert "different text" in found.loc[PROBABILITY, "reason"]


def test_remarks_say_what_differs_between_the_runs(lethe_home: Path) -> None:
    cards = [
        card({PROBABILITY: (0.8, 0.1, None)}, evidence="gold", **{"target model": "a", "forget data": "c"}),
        card({PROBABILITY: (None, 0.1, None)}, evidence="behavioural", **{"target model": "b", "forget data": "c"}),
    ]
    runs = [compared("one", cards[0]), compared("two", cards[1])]
    said = " ".join(remarks(runs, cards, paired_tests(runs, cards, [None, None])))
    assert "different target models: ratios" in said
    assert "text to forget" not in said
    assert "evidence of different strength" in said
    assert "two was judged without its target model" in said
    assert "No paired test of two against one: no items.parquet in one and two." in said


def test_remarks_count_the_tests(lethe_home: Path) -> None:
    held = pandas.concat([items(PROBABILITY, [0.1, 0.2]), items(KEPT, [0.1, 0.2])])
    runs = [compared("one", STRONG), compared("two", STRONG)]
    assert remarks(runs, [STRONG, STRONG], pair(held, held)) == [
        "p-values are not corrected for the 2 tests: about 0.1 of them would lie below 0.05 by chance."
    ]
