"""Claims: a measurement is due the first time, when model, data or libraries have changed, with the prompts of the last
time, and else after as many days as are wanted, with new ones; what came back is what the last one found above its
threshold, which is a share of the model before.
"""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from tasks.monitoring.points import (
    Measurement,
    Point,
    Surroundings,
    come_back,
    is_above,
    measurement_due,
    read_point,
)

NOW = Surroundings(model="7a", data="1b", libraries={"torch": "2.13.0", "lethe": "0.2.0"})
DAY = date(2026, 3, 10)


def point(days_ago: int = 0, draw: int = 0, **changes: object) -> Point:
    day = (DAY - timedelta(days=days_ago)).isoformat()
    known = {"why": "first", "draw": draw, "number": 1, "day": day, "at": f"{day}T02:00:00+00:00", "surroundings": NOW}
    return Point(**known | changes)


def due(*points: Point, now: Surroundings = NOW, every: int = 7, day: date = DAY) -> Measurement | None:
    return measurement_due(points, now, every, day)


def test_what_was_never_measured_is() -> None:
    assert due() == Measurement(why="first", draw=0)


@pytest.mark.parametrize("days_ago", [0, 1, 6, -1])
def test_within_the_days_nothing_is_due_where_nothing_has_changed(days_ago: int) -> None:
    assert due(point(days_ago)) is None


@pytest.mark.parametrize("days_ago", [7, 8, 400])
def test_after_the_days_it_is_measured_with_newly_drawn_prompts(days_ago: int) -> None:
    assert due(point(days_ago, draw=2)) == Measurement(why="days", draw=3)


@pytest.mark.parametrize(("every", "found"), [(1, True), (2, False)])
def test_how_many_days_is_a_setting(every: int, found: bool) -> None:
    assert (due(point(1), every=every) is not None) == found


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"model": "7b"}, "model"),
        ({"data": "1c"}, "data"),
        ({"libraries": {"torch": "2.14.0", "lethe": "0.2.0"}}, "libraries"),
        ({"libraries": {"torch": "2.13.0"}}, "libraries"),
        ({"model": "7b", "data": "1c", "libraries": {}}, "model"),
    ],
)
@pytest.mark.parametrize("days_ago", [0, 30])
def test_what_has_changed_is_measured_at_once_with_the_prompts_of_the_last_time(
    changed: dict[str, object], why: str, days_ago: int
) -> None:
    assert due(point(days_ago, draw=2), now=replace(NOW, **changed)) == Measurement(why=why, draw=2)


def test_it_is_compared_with_the_last_one() -> None:
    elsewhere = replace(NOW, model="7b")
    assert due(point(9), point(1, surroundings=elsewhere)) == Measurement(why="model", draw=0)
    assert due(point(9, surroundings=elsewhere), point(1)) is None


def test_a_point_is_read_as_it_was_written() -> None:
    made = point(above=("R-0001", ""), draw=4, why="days")
    assert read_point(made.as_text()) == made


def test_what_came_back_is_what_the_last_measurement_found() -> None:
    assert come_back([]) == {}
    assert come_back([point(above=("R-0001",)), point()]) == {}
    assert come_back([point(), point(above=("R-0001", "R-0002"))]) == {
        "R-0001": "2026-03-10T02:00:00+00:00",
        "R-0002": "2026-03-10T02:00:00+00:00",
    }


@pytest.mark.parametrize(
    ("unlearned", "target", "found"),
    [(0.31, 1.0, True), (0.3, 1.0, False), (0.1, 0.2, True), (0.0, 0.0, False), (None, 1.0, False), (0.9, None, False)],
)
def test_above_is_more_than_a_share_of_the_model_before(
    unlearned: float | None, target: float | None, found: bool
) -> None:
    assert is_above(unlearned, target, 0.3) is found
