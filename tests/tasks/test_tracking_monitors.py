"""Claims: a lasting run has ended and is written on all the same, a point with its tags in one call; the earliest of
several is the one that is found; where there is none there is none.
"""

from pathlib import Path

import pytest

from tasks import tracking, tracking_monitors
from tests.stand_ins.databases import give_runs


@pytest.fixture(autouse=True)
def home(lethe_home: Path) -> Path:
    give_runs(lethe_home)
    return lethe_home


def test_points_are_steps_of_an_ended_run() -> None:
    run = tracking_monitors.make_monitor("monitor", {"kind": "a"})
    for step in (1, 2):
        tracking_monitors.log_point(run, step, {"left": step / 4}, {f"point.{step}": "said"})
    assert [(each.step, each.value) for each in tracking.points(run, "left")] == [(1, 0.25), (2, 0.5)]
    found = tracking_monitors.find_monitor("tags.kind = 'a'")
    assert found.id == run
    assert {name for name in found.tags if name.startswith("point.")} == {"point.1", "point.2"}
    assert tracking.client().get_run(run).info.status == "FINISHED"


def test_the_earliest_is_found_or_none() -> None:
    assert tracking_monitors.find_monitor("tags.kind = 'a'") is None
    first = tracking_monitors.make_monitor("one", {"kind": "a"})
    tracking_monitors.make_monitor("other", {"kind": "a"})
    assert tracking_monitors.find_monitor("tags.kind = 'a'").id == first
