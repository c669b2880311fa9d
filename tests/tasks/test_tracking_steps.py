"""Claims: no row of a training is lost and none is counted twice, whenever its server goes away: in the middle, at the
end, or with an answer that is lost; the training goes on; what a run could not send the next one sends; what a server
will never take is dropped.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, TEMPORARILY_UNAVAILABLE

from tasks import store, tracking_steps
from tasks.tracking_server import NoTrackingServerError
from tasks.tracking_steps import FLUSH_ROWS, StepLog

GONE = MlflowException("no such run", RESOURCE_DOES_NOT_EXIST)


class Server:
    """Stands for MLflow, which knows a point by run, name, step, time and value."""

    def __init__(self) -> None:
        self.points: dict[Any, None] = {}
        self.calls, self.fails = 0, []
        """Errors of the next calls; None: it answers. With `True` beside an error it has taken what was sent."""

    def log_batch(self, run: str, metrics: list[Any]) -> None:
        self.calls += 1
        error, taken = self.fails.pop(0) if self.fails else (None, True)
        if taken:
            self.points |= {(run, one.key, one.step, one.timestamp, one.value): None for one in metrics}
        if error:
            raise error

    def steps(self) -> Counter[int]:
        return Counter(step for _, _, step, _, _ in self.points)


@pytest.fixture
def server(lethe_home: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    found = Server()
    monkeypatch.setattr(tracking_steps, "client", lambda: found)
    monkeypatch.setattr(tracking_steps, "tracking_uri", lambda: "http://me:secret@runs")
    monkeypatch.setattr(tracking_steps, "RETRY_S", 0.0)
    return found


def away(times: int, *, taken: bool = False) -> list[tuple[Exception, bool]]:
    return [(NoTrackingServerError("the MLflow server cannot be used"), taken)] * times


def files() -> list[Path]:
    return list((store.home() / "undelivered").glob("*"))


def train(steps: int) -> None:
    with StepLog("r1") as log:
        for step in range(steps):
            log(step, {"loss_nats": 1.0 / (step + 1)})


@pytest.mark.parametrize("taken", [False, True], ids=["not taken", "answer lost"])
def test_a_server_that_is_away_in_the_middle_gets_every_row_once(server: Server, taken: bool) -> None:
    server.fails = [(None, True), *away(2, taken=taken)]
    train(5 * FLUSH_ROWS + 7)
    assert server.steps() == Counter(range(5 * FLUSH_ROWS + 7))
    assert files() == []


def test_an_answer_that_is_lost_by_a_server_that_is_back_at_once_is_asked_for_again(server: Server) -> None:
    server.fails = [(MlflowException("connection reset"), True)]
    train(FLUSH_ROWS)
    assert (server.steps(), server.calls) == (Counter(range(FLUSH_ROWS)), 2)


def test_one_that_is_away_is_not_asked_at_every_turn(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking_steps, "RETRY_S", 600.0)
    server.fails = away(1)
    train(9 * FLUSH_ROWS)
    assert (server.calls, server.steps()) == (10, Counter(range(9 * FLUSH_ROWS)))  # once, and at the end


def test_what_could_not_be_sent_at_the_end_the_next_run_sends(server: Server) -> None:
    server.fails = away(9)
    with pytest.raises(NoTrackingServerError):
        train(2 * FLUSH_ROWS + 3)
    assert server.steps() == Counter()
    (kept,) = files()
    assert "secret" not in kept.read_text()
    server.fails = []
    tracking_steps.deliver_undelivered(server)
    tracking_steps.deliver_undelivered(server)
    assert (server.steps(), files()) == (Counter(range(2 * FLUSH_ROWS + 3)), [])


def test_the_next_run_may_be_faster_than_the_one_that_waits(server: Server) -> None:
    server.fails = away(1)
    with StepLog("r1") as log:
        for step in range(FLUSH_ROWS):
            log(step, {"loss_nats": 1.0})
        tracking_steps.deliver_undelivered(server)
        assert files() == []
    assert server.steps() == Counter(range(FLUSH_ROWS))


def test_a_stages_own_error_is_not_hidden_by_a_server_that_is_away(server: Server) -> None:
    server.fails = away(1)
    with pytest.raises(FloatingPointError), StepLog("r1") as log:
        log(1, {"loss_nats": 1.0})
        raise FloatingPointError
    assert len(files()) == 1


def test_what_a_server_will_never_take_is_dropped_and_what_may_pass_is_kept(server: Server) -> None:
    server.fails = away(1)
    with pytest.raises(NoTrackingServerError):
        train(1)
    server.fails = [(MlflowException("busy", TEMPORARILY_UNAVAILABLE), False)] * 2
    tracking_steps.deliver_undelivered(server)
    assert len(files()) == 1
    server.fails = [(GONE, False)] * 2
    tracking_steps.deliver_undelivered(server)
    assert (files(), server.steps()) == ([], Counter())


def test_without_a_run_nothing_is_kept(server: Server) -> None:
    with StepLog(None) as log:
        for step in range(FLUSH_ROWS):
            log(step, {"loss_nats": 1.0})
    assert (server.calls, files()) == (0, [])
