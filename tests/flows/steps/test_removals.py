"""Claims: a request is running while a run for it is under way, and then verified or failed; an error is told by its
kind alone; one that is stopped goes back to what it was; without a request nothing happens.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from prefect.exceptions import Pause

from flows.steps.removals import checked, work_on
from tasks.artifacts import BadInputError
from tasks.corpus import CorpusInputs
from tasks.removals import states
from tasks.removals.register import all_requests, find
from tasks.settings.unlearning_request import UnlearningRequest
from tests.stand_ins.databases import give_runs
from tests.stand_ins.removals import TARGET, received, written


@pytest.fixture(autouse=True)
def home(lethe_home: Path) -> Path:
    give_runs(lethe_home)
    return lethe_home


@pytest.mark.parametrize(("passed", "state"), [(True, "verified"), (False, "failed")])
def test_a_run_brings_its_request_to_its_verdict(passed: bool, state: str, tmp_path: Path) -> None:
    removal = received(tmp_path, "text")
    with work_on(removal) as work:
        work.begin("1a2b")
        assert find(removal.id).state == "running"
        with pytest.raises(BadInputError, match="a run for it is under way"), work_on(removal):
            pass
        work.end(passed, replace(TARGET, digest="9c" * 32))
    ended = find(removal.id)
    assert (ended.state, ended.history[-1].words) == (state, f"verdict {'passed' if passed else 'not passed'}")
    assert {change.run for change in ended.history[1:]} == {"1a2b"}
    assert (removal.base, ended.base) == (TARGET.digest, "9c" * 32), "the model that it was carried out on"


def test_one_whose_run_is_suspended_is_under_way_and_may_go_on(tmp_path: Path) -> None:
    removal = received(tmp_path, "text")
    with pytest.raises(Pause), work_on(removal) as work:
        work.begin("1a2b")
        raise Pause
    assert find(removal.id).state == "running"
    with work_on(removal) as work:
        work.begin("1a2b")
        work.end(True, TARGET)
    assert find(removal.id).state == "verified"


def test_an_error_fails_it_and_is_told_by_its_kind_alone(tmp_path: Path) -> None:
    removal = received(tmp_path, "text")
    with pytest.raises(FloatingPointError), work_on(removal) as work:
        work.begin("1a2b")
        raise FloatingPointError("of Velmora's file")
    ended = find(removal.id)
    assert (ended.state, ended.history[-1].words) == ("failed", "ended by FloatingPointError")


@pytest.mark.parametrize("before", [(), ("running", "verified"), ("running", "failed"), ("running",)])
def test_one_that_is_stopped_is_what_it_was_also_after_one_that_was_killed(
    before: tuple[states.State, ...], tmp_path: Path
) -> None:
    removal = received(tmp_path, "text")
    for state in before:
        states.change(removal.id, state)
    with pytest.raises(KeyboardInterrupt), work_on(removal) as work:
        work.begin("1a2b")
        raise KeyboardInterrupt
    assert find(removal.id).state == ([*before] or ["received"])[-1].replace("running", "received")
    assert find(removal.id).history[-1].words == "stopped"


def test_what_fails_before_a_run_is_under_way_changes_nothing(tmp_path: Path) -> None:
    removal = received(tmp_path, "text")
    with pytest.raises(OSError, match="no server"), work_on(removal):
        raise OSError("no server")
    assert find(removal.id) == removal


def test_without_a_request_nothing_is_entered_or_changed() -> None:
    with work_on(None) as work:
        work.begin("1a2b")
        work.end(True, TARGET)
    assert all_requests() == []
    assert checked(UnlearningRequest(forget=("a.txt",)), CorpusInputs(), TARGET) is None


def test_a_run_for_a_request_is_refused_where_it_cannot_be_carried_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    removal = received(tmp_path, "text")
    inputs = CorpusInputs(forget=(written(tmp_path, "text"),))
    other = CorpusInputs(forget=(written(tmp_path, "other"),))
    named = UnlearningRequest(forget=("a.txt",), removal=removal.id)
    assert checked(named, inputs, TARGET) == removal
    assert capsys.readouterr().err == ""
    assert checked(named, inputs, replace(TARGET, digest="0" * 64)) == removal
    assert capsys.readouterr().err.startswith("lethe: R-0001: the model is not what it was")
    with pytest.raises(BadInputError, match="the text to forget is not what it was"):
        checked(named, other, TARGET)
    with pytest.raises(BadInputError, match="there is none"):
        checked(UnlearningRequest(forget=("a.txt",), removal="R-0007"), inputs, TARGET)
    states.cancel(removal.id)
    with pytest.raises(BadInputError, match="R-0001 is cancelled and cannot become running"):
        checked(named, inputs, TARGET)
