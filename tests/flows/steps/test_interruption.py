"""A Ctrl-C that a library swallowed still stops the run."""

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from flows.steps import interruption
from flows.steps.outcome import Stages


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    interruption.listen()
    yield
    interruption.listen()
    signal.signal(signal.SIGINT, before)


class NeverAsked:
    """Stands for a stage that is under way: nobody may wait for it any more."""

    def wait(self, timeout: float | None = None) -> None:
        raise AssertionError("the run went on")

    def result(self) -> Any:
        raise AssertionError("the run went on")


def test_without_ctrl_c_nothing_is_raised() -> None:
    interruption.check()


def test_a_swallowed_ctrl_c_is_raised_where_the_flow_waits_next() -> None:
    with contextlib.suppress(BaseException):
        os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        Stages(run="").result("reinforcement", NeverAsked())


def test_a_new_run_starts_afresh() -> None:
    with contextlib.suppress(BaseException):
        os.kill(os.getpid(), signal.SIGINT)
    interruption.listen()
    interruption.check()
