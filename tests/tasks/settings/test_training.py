"""Settings of training: whatever can be chosen is there."""

from typing import get_args

from tasks.settings.training import SCHEDULES, Schedule


def test_every_schedule_that_can_be_chosen_has_a_course_that_begins_at_the_peak() -> None:
    assert set(SCHEDULES) == set(get_args(Schedule))
    assert {course(0.0, 0.01) for course in SCHEDULES.values()} == {1.0}
