"""Claims: a request is due when it is new, was broken off, has another base, came back, has come to its day unverified,
or stands apart from the version that the others are on; else nothing is; the next starts from the version on which most
have passed, and on a new base from the base.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import pytest

from tasks.removals.due import Due, due_tonight, front, to_score_again
from tasks.removals.records import Change, Removal, State
from tasks.tracking_registry import Version

BASE, OTHER = "7a" * 32, "8b" * 32
DAY, DUE_DAY = date(2026, 3, 10), date(2026, 3, 20)
BEFORE, AFTER = "2026-03-09T03:05:00+00:00", "2026-03-10T02:00:00+00:00"


def changes(*named: tuple[State, str]) -> tuple[Change, ...]:
    made = [("received", ""), *named]
    return tuple(Change(state=state, words=words, at="2026-03-09T03:00:00+00:00", by="me") for state, words in made)


RECEIVED = changes()
RUNNING = changes(("running", ""))
VERIFIED = changes(("running", ""), ("verified", "verdict passed"))
FAILED = changes(("running", ""), ("failed", "verdict not passed"))
BROKEN = changes(("running", ""), ("failed", "ended by OSError"))
STOPPED = changes(("running", ""), ("received", "stopped"))
STOPPED_AGAIN = (*VERIFIED, *changes(("running", ""), ("verified", "stopped"))[1:])
REMARKED = (*VERIFIED, *changes(("verified", "scored again on lethe-7a7a7a7a version 2: passed"))[1:])
BROKEN_REMARKED = (*BROKEN, *changes(("failed", "a remark"))[1:])
KILLED_AGAIN = (*VERIFIED, *changes(("running", ""))[1:])
CANCELLED = changes(("cancelled", ""))
VERDICTS = [VERIFIED, FAILED, STOPPED_AGAIN, REMARKED]


def removal(history: tuple[Change, ...] = VERIFIED, number: int = 1, **known: object) -> Removal:
    own = {"method": "whp", "target": BASE, "base": BASE, "model": "m", "forget": "f", "details": "d", "approve": False}
    return Removal(**{"id": f"R-{number:04d}", "entry": "e", "history": history, "due": DUE_DAY, **own, **known})


def version(number: int, made_for: int, verdicts: Mapping[int, bool] | None = None, base: str = BASE) -> Version:
    judged = {made_for: True, **(verdicts or {})}
    tags = {f"lethe.verdict.R-{one:04d}": "passed" if held else "not passed" for one, held in judged.items()}
    tags |= {"lethe.base": base, "lethe.request": f"R-{made_for:04d}"}
    return Version(name="lethe-7a7a7a7a", number=number, made=number, run="", tags=tags)


def reasons(
    *requests: Removal,
    versions: tuple[Version, ...] = (),
    base: str = BASE,
    above: Mapping[str, str] | None = None,
    day: date = DAY,
) -> dict[str, str]:
    return {one.id: one.reason for one in due_tonight(requests, base, versions, above or {}, day)}


def test_without_requests_nothing_is_due() -> None:
    assert due_tonight([], BASE, [], {}, DAY) == []


@pytest.mark.parametrize("history", [RECEIVED, RUNNING, BROKEN])
def test_what_waits_for_a_person_is_not_due(history: tuple[Change, ...]) -> None:
    one, other = removal(history), removal(history, number=2)
    assert [due.id for due in due_tonight([one, other], BASE, [], {}, DAY, waiting={one.id})] == [other.id]


@pytest.mark.parametrize("history", VERDICTS)
def test_what_has_a_verdict_on_this_base_is_not_due(history: tuple[Change, ...]) -> None:
    assert reasons(removal(history)) == {}


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        (RECEIVED, "new"),
        (STOPPED, "new"),
        (RUNNING, "broken off"),
        (BROKEN, "broken off"),
        (BROKEN_REMARKED, "broken off"),
        (KILLED_AGAIN, "broken off"),
    ],
)
def test_what_came_to_no_verdict_is_due(history: tuple[Change, ...], reason: str) -> None:
    assert reasons(removal(history)) == {"R-0001": reason}
    assert reasons(removal(history), base=OTHER) == {"R-0001": reason}


@pytest.mark.parametrize("history", VERDICTS)
def test_on_a_new_base_what_was_carried_out_is_due_again(history: tuple[Change, ...]) -> None:
    assert reasons(removal(history), base=OTHER) == {"R-0001": "new base"}


def test_what_a_night_that_was_killed_has_done_on_the_new_base_is_not_done_twice() -> None:
    one, two = removal(base=OTHER), removal(number=2)
    assert reasons(one, two, base=OTHER, versions=(version(3, 1, base=OTHER),)) == {"R-0002": "new base"}


@pytest.mark.parametrize("history", [CANCELLED, changes(("superseded", "by R-0002"))])
def test_what_has_ended_is_never_due(history: tuple[Change, ...]) -> None:
    assert reasons(removal(history), base=OTHER, above={"R-0001": AFTER}, day=DUE_DAY) == {}


@pytest.mark.parametrize(("at", "due"), [("", False), (BEFORE[:-12] + "2:00:00+00:00", False), (AFTER, True)])
def test_a_measurement_counts_once_that_is_later_than_the_last_run(at: str, due: bool) -> None:
    assert reasons(removal(), above={"R-0001": at} if at else {}) == ({"R-0001": "came back"} if due else {})


def test_a_measurement_of_another_request_is_none_of_this_one() -> None:
    assert reasons(removal(), above={"R-0002": AFTER}) == {}


@pytest.mark.parametrize(
    ("history", "day", "due"),
    [
        (FAILED, date(2026, 3, 19), False),
        (FAILED, DUE_DAY, True),
        (FAILED, date(2026, 4, 1), True),
        (VERIFIED, DUE_DAY, False),
    ],
)
def test_one_that_failed_is_tried_again_when_its_day_has_come(
    history: tuple[Change, ...], day: date, due: bool
) -> None:
    assert reasons(removal(history), day=day) == ({"R-0001": "due day"} if due else {})


def test_and_once_alone() -> None:
    late = tuple(replace(change, at="2026-03-20T03:05:00+00:00") for change in FAILED)
    assert reasons(removal(late), day=date(2026, 3, 21)) == {}


def test_one_that_stands_apart_is_brought_onto_the_version_of_the_others() -> None:
    requests = removal(), removal(number=2)
    alone = version(1, 1), version(2, 2)
    assert reasons(*requests, versions=alone) == {"R-0001": "apart"}
    together = version(1, 1), version(2, 2, {1: True})
    assert reasons(*requests, versions=together) == {}
    spoiled = version(1, 1), version(2, 2, {1: False})
    assert reasons(*requests, versions=spoiled) == {}, "it is told, and not tried every night"
    assert reasons(removal(FAILED), removal(number=2), versions=(version(2, 2),)) == {}


def test_they_come_in_the_order_of_the_register() -> None:
    requests = removal(RECEIVED), removal(number=2), removal(RUNNING, number=3)
    found = due_tonight(requests, OTHER, [], {}, DAY)
    assert found == [
        Due(id="R-0001", reason="new"),
        Due(id="R-0002", reason="new base"),
        Due(id="R-0003", reason="broken off"),
    ]


@pytest.mark.parametrize(
    ("versions", "number"),
    [
        ((), None),
        ((version(1, 1),), 1),
        ((version(1, 1, base=OTHER),), None),
        ((version(1, 3),), None),  # for a request that is not in force
        ((version(1, 1, {1: False}),), None),
        ((version(1, 1), version(2, 2)), 2),
        ((version(1, 1, {2: True}), version(2, 2)), 1),
        ((version(1, 1), version(2, 2, {2: False})), 1),
        ((version(1, 1), version(2, 2, {1: True}), version(3, 2)), 2),
    ],
)
def test_the_next_starts_from_the_version_on_which_most_have_passed(
    versions: tuple[Version, ...], number: int | None
) -> None:
    found = front(versions, BASE, [removal(), removal(number=2)])
    assert (found.number if found else None) == number


def test_earlier_ones_are_scored_again_where_nobody_knows() -> None:
    requests = [removal(), removal(number=2), removal(FAILED, number=3), removal(RECEIVED, number=4)]
    assert [one.id for one in to_score_again(version(2, 2), requests)] == ["R-0001"]
    assert to_score_again(version(2, 2, {1: False}), requests) == []
