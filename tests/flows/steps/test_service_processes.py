"""Claims: a process is known by its number, its start and its mark; one that has got the number of another is never
ended; what a killed process left is ended with it; an early end is named with the last that it said.
"""

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from flows.steps import service_processes
from flows.steps.services import MARK, Plan
from tasks.execution.serving import Service, Serving
from tasks.settings.servers import ServersConfig
from tests.stand_ins.waiting import wait_for

SLEEP = "import time; time.sleep(600)"
PARENT = (
    "import subprocess, sys, time; subprocess.Popen([sys.executable, '-Sc', 'import time; time.sleep(600)']);"
    " time.sleep(600)"
)


def plan(code: str, mark: str, name: str = "mlflow") -> Plan:
    command = [sys.executable, "-Sc", code]
    return Plan(name=name, command=command, environment={**os.environ, MARK: mark}, is_ready=lambda: False)


@pytest.fixture
def mark(lethe_home: Path) -> Iterator[str]:
    yield (own := f"test-{os.getpid()}-{time.monotonic_ns()}")
    for process in psutil.process_iter():
        if service_processes._is_marked(process, own):
            process.kill()


def known(mark: str, *services: Service) -> Serving:
    return Serving(config=ServersConfig(), mark=mark, services=services, logs="")


def test_a_process_is_started_apart_and_ended(mark: str, tmp_path: Path) -> None:
    started = service_processes.start(plan(SLEEP, mark), tmp_path / "log")
    assert os.getsid(started.process) == started.process
    assert service_processes.alive(known(mark, started)) == {"mlflow": started}
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600
    assert service_processes.end_all(known(mark, started)) == ["mlflow"]
    assert service_processes.alive(known(mark, started)) == {}
    assert service_processes.end_all(known(mark, started)) == []


def test_a_process_that_has_got_the_number_is_never_ended(mark: str, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-Sc", SLEEP], start_new_session=True) as other:
        began = psutil.Process(other.pid).create_time()
        try:
            for started in (began, began - 100):
                stale = known(mark, Service(name="mlflow", process=other.pid, started=started))
                assert service_processes.alive(stale) == {}
                assert service_processes.end_all(stale) == []
            assert other.poll() is None
        finally:
            other.kill()
    ours = service_processes.start(plan(SLEEP, mark), tmp_path / "log")
    assert service_processes.alive(known(mark, dataclasses.replace(ours, started=ours.started - 100))) == {}


def test_what_a_killed_one_has_left_is_ended_with_its_service_alone(mark: str, tmp_path: Path) -> None:
    both = [service_processes.start(plan(PARENT, mark, name), tmp_path / name) for name in ("prefect", "mlflow")]
    children = [wait_for(lambda parent=one: psutil.Process(parent.process).children(), "a child")[0] for one in both]
    psutil.Process(both[1].process).kill()
    assert wait_for(lambda: "mlflow" not in service_processes.alive(known(mark, *both)), "the end")
    assert service_processes.end(known(mark, *both), ["mlflow"]) == []
    assert [service_processes._is_marked(child, mark) for child in children] == [True, False]
    assert service_processes.end_all(known(mark, *both)) == ["prefect"]
    assert not service_processes._is_marked(children[0], mark)


def test_one_that_ends_before_it_is_ready_is_named_with_its_last_words(mark: str, tmp_path: Path) -> None:
    dying = plan("print('one'); print('no room left'); raise SystemExit(3)", mark)
    started = service_processes.start(dying, tmp_path / "log")
    with pytest.raises(RuntimeError, match=r"mlflow did not start \(no room left\); its log: .*log"):
        service_processes.await_ready(dying, started, mark, tmp_path / "log")


def test_one_whose_environment_cannot_be_read_yet_has_not_ended(
    mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claims: the moment between a program's start and its visible environment does not pass for its end."""
    shown, calls = psutil.Process.environ, []
    monkeypatch.setattr(
        psutil.Process, "environ", lambda one: calls.append(one) or (len(calls) > 3 and shown(one)) or {}
    )
    started = service_processes.start(plan(SLEEP, mark), tmp_path / "log")
    assert service_processes.found(started, mark) is not None


def test_an_answer_of_somebody_else_is_not_taken_for_its_own(mark: str, tmp_path: Path) -> None:
    dying = dataclasses.replace(plan("", mark), is_ready=lambda: True)
    started = service_processes.start(dying, tmp_path / "log")
    wait_for(lambda: service_processes.found(started, mark) is None, "the end")
    with pytest.raises(RuntimeError, match="mlflow ended"):
        service_processes.await_ready(dying, started, mark, tmp_path / "log")


def test_the_log_before_is_kept(mark: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("yesterday")
    service_processes.start(plan("print('today')", mark), tmp_path / "log")
    wait_for(lambda: (tmp_path / "log").read_text() == "today\n", "the words")
    assert (tmp_path / "log.1").read_text() == "yesterday"
