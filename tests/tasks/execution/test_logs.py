"""Claims: what a stage logs, in a process of its own or here, reaches the log of its flow run, with its level, under
its task run; what other libraries log there does not, and nothing is sent from outside a run.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import flow, get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import Log
from prefect.logging.handlers import APILogHandler
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

from tasks.execution import isolation, logs
from tests.stand_ins import stages
from tests.stand_ins.waiting import wait_for


@pytest.fixture(autouse=True)
def own_handlers() -> Iterator[None]:
    ours = logging.getLogger(logs.OURS)
    before = list(ours.handlers), ours.level, ours.propagate
    yield
    ours.handlers, ours.propagate = before[0], before[2]
    ours.setLevel(before[1])


@flow(name="telling", task_runner=ThreadPoolTaskRunner(max_workers=2))
def telling() -> str:
    isolation.begin()
    for told in (stages.tell.submit("here"), stages.tell_apart.submit("apart")):
        told.result()
    return str(flow_run.id)


def sent(run: str) -> list[Log]:
    with get_client(sync_client=True) as server:
        found = server.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run])), limit=200)
    return [log for log in found if log.name.startswith(logs.OURS) or log.name == "elsewhere"]


def test_what_stages_log_reaches_the_log_of_their_flow_run(flow_home: Path) -> None:
    run = telling()
    found = wait_for(lambda: told if len(told := sent(run)) > 3 else None, "the messages", 30)
    assert sorted((log.message, log.level) for log in found) == [
        ("apart: 50 % of it", logging.WARNING),
        ("apart: begun", logging.INFO),
        ("here: 50 % of it", logging.WARNING),
        ("here: begun", logging.INFO),
    ]
    assert all(log.task_run_id for log in found)
    assert {log.name for log in found} == {"tasks.told"}


def test_outside_a_run_nothing_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    logs.show_in_runs()
    logs.show_in_runs()
    (handler,) = [one for one in logging.getLogger(logs.OURS).handlers if isinstance(one, APILogHandler)]
    record = logging.getLogger("tasks.told").makeRecord("tasks.told", logging.WARNING, "", 0, "nobody's", (), None)
    assert not handler.filter(record)
    logging.getLogger("tasks.told").warning("nobody's")  # Prefect would warn of a message without a run
    assert "nobody's" in caplog.text


def test_a_stages_process_hands_messages_on_and_shows_none() -> None:
    told: list[logs.Message] = []
    logs.forward(told.append)
    logging.getLogger("tasks.told").info("%d of them", 2)
    logging.getLogger("tasks.told").debug("too much")
    assert told == [logs.Message(logger="tasks.told", level=logging.INFO, text="2 of them")]
    assert not logging.getLogger(logs.OURS).propagate


def test_a_message_is_logged_again_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    logs.repeat(logs.Message(logger="tasks.told", level=logging.WARNING, text="50 % of it"))
    assert caplog.record_tuples == [("tasks.told", logging.WARNING, "50 % of it")]
