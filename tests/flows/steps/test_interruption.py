"""Claims: a Ctrl-C or SIGTERM that a library swallowed still stops the run; what does not end by itself is ended in
time, with one line and the status that shells give; what is gone and needed ends the command from any thread.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from flows.steps import interruption
from flows.steps.outcome import Stages
from tests.stand_ins.command import ROOT
from tests.stand_ins.waiting import end_of

HANGING = """
import sys, threading, time
from flows.steps import interruption
interruption.listen()
threading.Thread(target=time.sleep, args=(600,)).start()  # nothing ends it, nor a process that waits for it
{before}
try:
    print("ready", flush=True)
    time.sleep(600)
except BaseException:
    sys.exit(interruption.status())
"""
FOREIGN = "import signal; signal.signal(signal.SIGTERM, lambda *_: None)"
"""As Prefect does it while a flow runs, and worse."""
LOST = "threading.Timer(0.5, interruption.break_off, ['the server is gone']).start()"


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in interruption.SIGNALS}
    interruption.listen()
    yield
    interruption.listen()  # nobody has asked, and nobody is ended by force
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)


class NeverAsked:
    """Stands for a stage that is under way: nobody may wait for it any more."""

    def wait(self, timeout: float | None = None) -> None:
        raise AssertionError("the run went on")

    def result(self) -> Any:
        raise AssertionError("the run went on")


def swallowed(number: int) -> None:
    with contextlib.suppress(BaseException):
        os.kill(os.getpid(), number)


def test_without_ctrl_c_nothing_is_raised() -> None:
    interruption.check()
    assert not interruption.asked()


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_a_swallowed_signal_is_raised_where_the_flow_waits_next(number: int) -> None:
    swallowed(number)
    with pytest.raises(KeyboardInterrupt):
        Stages(run="").result("reinforcement", NeverAsked())


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_a_signal_stops_a_block_that_must_not_be_left_at_its_end(number: int) -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), interruption.held():
        os.kill(os.getpid(), number)
        time.sleep(0.05)  # it has come
        done.append("all")
    assert done == ["all"]
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
        time.sleep(5)


def test_a_new_run_starts_afresh() -> None:
    """Claims: what came before it began is not held against it, however late it is noted."""
    for _ in range(100):
        swallowed(signal.SIGINT)
        interruption.listen()
        time.sleep(0.001)  # the noting thread has its turn
        interruption.check()


def test_what_was_asked_for_first_counts_and_is_said_once(capsys: pytest.CaptureFixture) -> None:
    swallowed(signal.SIGTERM)
    swallowed(signal.SIGINT)
    with contextlib.suppress(KeyboardInterrupt):
        interruption.break_off("the server is gone")
    assert [interruption.status(), interruption.status()] == [143, 143]
    assert capsys.readouterr().err == f"lethe: {interruption.STOPPED}\n"


@pytest.mark.parametrize(
    ("number", "status", "before"),
    [(signal.SIGTERM, 143, ""), (signal.SIGTERM, 143, FOREIGN)],
    ids=["SIGTERM", "somebody else's handler"],
)
def test_what_does_not_end_by_itself_is_ended_in_time(number: int, status: int, before: str) -> None:
    with hanging(before) as process:
        os.kill(process.pid, number)
        began = time.monotonic()
        ended = end_of(process)
    assert (ended.returncode, ended.stderr) == (status, f"lethe: {interruption.STOPPED}\n")
    assert time.monotonic() - began < 10


def test_what_is_gone_and_needed_ends_the_command_with_a_line() -> None:
    with hanging(LOST) as process:
        ended = end_of(process)
    assert (ended.returncode, ended.stderr) == (1, "lethe: the server is gone\n")


@contextlib.contextmanager
def hanging(before: str) -> Iterator["subprocess.Popen[str]"]:
    """Start a process that ends by no signal."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    code = HANGING.format(before=before)
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, text=True, **pipes) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()
