"""Claims: all measurements of a model are steps of one run, which is found again by a name that only this store can
make, holds what is said of each, and has ended.
"""

from pathlib import Path

import pytest

from tasks import tracking
from tasks.monitoring.lasting_runs import Lasting, add_point, courses, find_lasting
from tasks.monitoring.points import Point, Surroundings
from tests.stand_ins.databases import give_runs

MODEL = "/models/of Velmora's"


@pytest.fixture(autouse=True)
def home(lethe_home: Path) -> Path:
    give_runs(lethe_home)
    return lethe_home


def point(number: int) -> Point:
    now = Surroundings(model="7a", data="1b", libraries={"torch": "2.13.0"})
    return Point(why="days", draw=number, number=number, day=f"2026-03-0{number}", at="now", surroundings=now)


def test_measurements_are_steps_of_one_run_a_model() -> None:
    for number, left in ((1, 0.25), (2, 0.5)):
        add_point(find_lasting(MODEL), "one", point(number), {"R-0001/forget_test/familiarity": left})
    add_point(find_lasting("another"), "another", point(1), {"benchmark/world/acc": 1.0})
    lasting = find_lasting(MODEL)
    assert lasting.points == (point(1), point(2))
    assert courses(lasting) == {"R-0001/forget_test/familiarity": [(1, 0.25), (2, 0.5)]}
    assert find_lasting("another").run not in ("", lasting.run)
    run = tracking.client().get_run(lasting.run)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "monitor one")


def test_what_was_never_measured_has_no_run() -> None:
    found = find_lasting(MODEL)
    assert found == Lasting(key=found.key)
    assert courses(found) == {}


def test_the_run_names_no_model_of_the_users() -> None:
    lasting = add_point(find_lasting(MODEL), "model 7a7a7a7a", point(1), {"forget_test/familiarity": 0.1})
    assert "Velmora" not in str(tracking.client().get_run(lasting.run))


def test_a_later_run_does_not_take_it_for_one_that_was_killed() -> None:
    lasting = add_point(find_lasting(MODEL), "one", point(1), {"forget_test/familiarity": 0.1})
    tracking.close(tracking.open_run("work", {}, {}))
    assert tracking.client().get_run(lasting.run).info.status == "FINISHED"
