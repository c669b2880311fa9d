"""Claims: a request goes only where its states lead; its history tells every change; one that a run is under way for
takes no other, and is not ended.
"""

import itertools
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks.artifacts import BadInputError
from tasks.removals import states
from tasks.removals.register import find
from tests.stand_ins.databases import give_runs
from tests.stand_ins.removals import received


@pytest.fixture(autouse=True, scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("states") / "lethe"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LETHE_HOME", str(folder))
        give_runs(folder)
        yield folder


def test_a_state_that_does_not_lead_there_changes_nothing(tmp_path: Path) -> None:
    removal = received(tmp_path, "text")
    with pytest.raises(BadInputError, match="is received and cannot become verified; wanted one that is running"):
        states.change(removal.id, "verified")
    assert find(removal.id) == removal


def test_the_history_tells_every_change_in_order(tmp_path: Path) -> None:
    removal = received(tmp_path, "text")
    states.change(removal.id, "running", run="1a2b")
    states.change(removal.id, "failed", "verdict not passed")
    told = states.remark(removal.id, "looked over").history
    assert [(one.state, one.words, one.run) for one in told] == [
        ("received", "", ""),
        ("running", "", "1a2b"),
        ("failed", "verdict not passed", ""),
        ("failed", "looked over", ""),
    ]
    times = [datetime.fromisoformat(one.at) for one in told]
    assert all(earlier <= later <= datetime.now(UTC) for earlier, later in itertools.pairwise(times))
    assert all(one.by for one in told)


def test_a_request_that_is_under_way_takes_no_other_run_and_is_not_ended(tmp_path: Path) -> None:
    removal = received(tmp_path, "text")
    with states.under_way(removal.id):
        with pytest.raises(BadInputError, match="a run for it is under way"), states.under_way(removal.id):
            pass
        with pytest.raises(BadInputError, match="a run for it is under way"):
            states.cancel(removal.id)
    assert states.cancel(removal.id).state == "cancelled"


def test_a_timeout_in_the_work_itself_is_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match="of the work"), states.under_way(received(tmp_path, "text").id):
        raise TimeoutError("of the work")


def test_what_is_superseded_says_by_which(tmp_path: Path) -> None:
    earlier, later = received(tmp_path, "text"), received(tmp_path, "more")
    assert states.supersede(earlier.id, later).superseded_by == later.id
    with pytest.raises(BadInputError, match=rf"{earlier.id} is superseded by {later.id} and cannot become running"):
        states.change(earlier.id, "running")
