"""Stages in processes of their own: results, errors, limits; no child outlives its orchestrator."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tasks.artifacts import BadInputError
from tasks.execution import isolation, progress
from tasks.execution.cache_keys import ROOT
from tasks.execution.progress import Progress
from tests.stand_ins import stages
from tests.stand_ins.databases import give_runs
from tests.stand_ins.waiting import wait_for

ORCHESTRATE = """
import sys
from tasks.execution import isolation
from tests.stand_ins import stages
if __name__ == "__main__":
    isolation.run_isolated(stages.hang, {"file": sys.argv[1]}, stage="hanging", key=None, threads=1, timeout_s=600)
"""


UNGUARDED = """
from tasks.execution import isolation
from tests.stand_ins import stages
print(isolation.run_isolated(stages.double, {"number": 21}, stage="doubling", key=None, threads=1, timeout_s=600))
"""


@pytest.fixture(autouse=True)
def fresh_run() -> Iterator[None]:
    isolation.begin()
    yield
    isolation.begin()


def run(function: Callable[..., Any], timeout_s: float = 120.0, **arguments: Any) -> Any:
    return isolation.run_isolated(function, arguments, stage="a stage", key="key-1", threads=1, timeout_s=timeout_s)


def process_id(file: Path) -> int:
    return int(file.read_text()) if file.exists() and file.read_text() else 0


def is_gone(process: int) -> bool:
    return not psutil.pid_exists(process) or psutil.Process(process).status() == psutil.STATUS_ZOMBIE


def test_the_result_comes_back() -> None:
    assert run(stages.double, number=21) == 42


def test_a_script_that_does_not_ask_whether_it_is_the_main_one_is_not_run_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    surroundings = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=surroundings, capture_output=True, text=True, timeout=300
    )
    assert (ended.returncode, ended.stdout.split()) == (0, ["42"]), ended.stderr


def test_the_stage_has_a_process_threads_and_the_callers_environment(lethe_home: Path) -> None:
    found = run(stages.surroundings)
    assert found["process"] != os.getpid()
    assert found["threads"] == 1
    assert found["home"] == str(lethe_home)


def test_what_every_stage_needs_for_its_run_is_loaded_before_it_begins(lethe_home: Path) -> None:
    give_runs(lethe_home)
    assert run(stages.libraries_for_a_run) == []


def test_a_daemonic_process_such_as_a_worker_of_dask_has_stages_with_all_that_they_have_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    found = run(stages.surroundings)
    assert found["process"] != os.getpid()
    assert multiprocessing.current_process().daemon
    with pytest.raises(TimeoutError, match="passed its time limit"):
        run(stages.hang, timeout_s=3.0, file=str(tmp_path / "process"))


def test_progress_arrives_under_the_stages_name() -> None:
    seen: list[Progress] = []
    stop = progress.listen(seen.append)
    run(stages.double, number=1)
    stop()
    assert seen == [
        Progress(stage="a stage", done=1, total=2, note="half way"),
        Progress(stage="a stage", done=2, total=2),
    ]


def test_an_error_keeps_its_type_and_message_and_brings_its_traceback() -> None:
    with pytest.raises(BadInputError) as caught:
        run(stages.refuse, message="no anchors were found")
    assert str(caught.value) == "no anchors were found"
    assert "in refuse" in "".join(caught.value.__notes__)


def test_an_error_that_cannot_be_sent_keeps_its_name() -> None:
    with pytest.raises(RuntimeError, match="AwkwardError: two words"):
        run(stages.fail_awkwardly)


def test_a_killed_child_is_an_error_of_its_own() -> None:
    with pytest.raises(isolation.StageProcessDiedError, match="the process of stage a stage ended with status -9"):
        run(stages.die)


def test_past_its_time_limit_the_child_is_killed(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="stage a stage passed its time limit"):
        run(stages.hang, timeout_s=4.0, file=str(tmp_path / "process"))
    assert time.monotonic() - began < 60
    assert not process_id(tmp_path / "process") or is_gone(process_id(tmp_path / "process"))


def test_the_child_dies_when_its_orchestrator_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "orchestrate.py"
    script.write_text(ORCHESTRATE)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "process")], env=environment, cwd=ROOT
    ) as orchestrator:
        child = 0
        try:
            child = wait_for(lambda: process_id(tmp_path / "process"), "the child's start")
            assert not is_gone(child)
            os.kill(orchestrator.pid, signal.SIGKILL)
            orchestrator.wait(30)
            wait_for(lambda: is_gone(child), "the child's end", 30)
        finally:
            orchestrator.kill()
            if child and not is_gone(child):
                os.kill(child, signal.SIGKILL)


def test_abort_ends_stages_that_run_and_keeps_others_from_starting(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def hang() -> None:
        try:
            run(stages.hang, file=str(tmp_path / "process"))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=hang)
    thread.start()
    child = wait_for(lambda: process_id(tmp_path / "process"), "the child's start")
    isolation.abort()
    thread.join(30)
    assert is_gone(child)
    assert [type(error) for error in errors] == [isolation.StageAbortedError]
    with pytest.raises(isolation.StageAbortedError, match="was not begun"):
        run(stages.double, number=1)
    isolation.begin()
    assert run(stages.double, number=1) == 2


def test_the_environment_is_whole_while_another_thread_starts_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fork server is started with a changed one, which is changed back at once."""
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.setattr(isolation.forkserver, "ensure_running", lambda: None)
    stop, errors, seen = threading.Event(), [], []

    def start() -> None:
        while not stop.is_set():
            isolation._context()

    def copy() -> None:
        try:
            for _ in range(300):
                seen.append(isolation._environment().get("PYTHONSAFEPATH"))
        except Exception as error:
            errors.append(error)

    starting, copying = [[threading.Thread(target=what) for _ in range(2)] for what in (start, copy)]
    for thread in (*starting, *copying):
        thread.start()
    for thread in copying:
        thread.join()
    stop.set()
    for thread in starting:
        thread.join()
    assert errors == []
    assert (len(seen), set(seen)) == (600, {None})


def test_the_end_of_a_child_is_read_once_also_when_others_start_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting a child asks after all others; who comes second would find the descriptor empty, and status 255."""
    read = isolation.forkserver.read_signed

    def slowly(descriptor: int) -> int:
        time.sleep(0.1)  # the other thread comes in between
        return read(descriptor)

    monkeypatch.setattr(isolation.forkserver, "read_signed", slowly)
    messages: list[str] = []

    def die() -> None:
        for _ in range(4):
            with pytest.raises(isolation.StageProcessDiedError) as died:
                run(stages.die)
            messages.append(str(died.value))

    threads = [threading.Thread(target=die) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert messages == ["the process of stage a stage ended with status -9 and no result"] * 24


def test_the_thread_count_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LETHE_THREADS", "3")
    assert isolation.cores() == 3
    monkeypatch.delenv("LETHE_THREADS")
    assert isolation.cores() >= 1


def test_called_here_a_stage_knows_its_key_and_its_name() -> None:
    seen: list[Progress] = []
    stop = progress.listen(seen.append)
    assert isolation.call(lambda: (progress.report(0, 1), isolation.current_key())[1], {}, "named", "key-2") == "key-2"
    stop()
    assert {found.stage for found in seen} == {"named"}
