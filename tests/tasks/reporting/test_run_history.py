"""Durations and curves of finished runs, also of training that was broken off and went on in another run."""

import time
from pathlib import Path

import pytest

from tasks import tracking
from tasks.reporting import run_history


@pytest.fixture
def parent(lethe_home: Path) -> str:
    return tracking.open_run("selective unlearning", {}, {})


def test_durations_are_those_of_ended_runs_that_the_server_knows(parent: str) -> None:
    with tracking.stage_run(parent, "labels") as nested:
        assert run_history.durations({"labels": nested}) == {}
        time.sleep(0.2)
    found = run_history.durations({"labels": nested, "unknown": "0" * 32})
    assert list(found) == ["labels"]
    assert 0.2 <= found["labels"] < 5


def test_a_run_under_two_names_took_its_time_once(parent: str) -> None:
    runs = {}
    for stage in ("reference cache", "scrub"):
        with tracking.stage_run(parent, stage) as runs[stage]:
            pass
    assert list(run_history.durations(runs | {"rewind": runs["scrub"]})) == ["reference cache", "scrub"]


def test_a_curve_of_an_unknown_run_is_empty() -> None:
    assert run_history.curve("0" * 32, "loss_nats") == []


def test_training_that_went_on_in_another_run_counts_whole_and_without_the_time_in_between(lethe_home: Path) -> None:
    killed = tracking.open_run("finetune", {}, {})
    with tracking.StepLog(killed) as log:
        log(1, {"loss_nats": 3.0})
        log(2, {"loss_nats": 2.0})
        time.sleep(0.3)
        log(3, {"loss_nats": 1.5})
    time.sleep(1.5)
    tracking.close(killed, "KILLED")
    last = tracking.open_run("finetune", {}, {})
    run_history.goes_on_from(last, killed)
    with tracking.StepLog(last) as log:
        log(3, {"loss_nats": 1.0})
        log(4, {"loss_nats": 0.5})
    assert run_history.durations({"finetune": last}) == {}
    tracking.close(last)
    assert run_history.curve(last, "loss_nats") == [(1, 3.0), (2, 2.0), (3, 1.0), (4, 0.5)]
    infos = [tracking.client().get_run(run).info for run in (killed, last)]
    idle_ms = infos[0].end_time - tracking.points(killed, "loss_nats")[-1].timestamp
    whole_ms = sum(info.end_time - info.start_time for info in infos)
    assert run_history.durations({"finetune": last})["finetune"] == pytest.approx((whole_ms - idle_ms) / 1000, abs=0.06)
    assert idle_ms > 1400
