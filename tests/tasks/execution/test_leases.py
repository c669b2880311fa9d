"""Claims: of two processes that share nothing but a folder one has the lease, and no kernel's lock is in play; one that
is killed loses it when its beats fail to come, and not before; one that stood still and lost it says so and leaves the
new holder alone; what this machine left is taken at once by whoever is alone on it.
"""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.execution import leases
from tasks.execution.cache_keys import ROOT
from tasks.execution.leases import FREE, Leases
from tests.stand_ins.waiting import wait_for

HOLD = """
import sys, time
from tasks.execution.leases import Leases
print(Leases(lease_s=1.5, machine="other").take("stage"), flush=True)
time.sleep(600)
"""


@pytest.fixture
def other(lethe_home: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which takes the lease on `stage` and holds it."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=ROOT, env={**os.environ}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "True\n"
            yield process
        finally:
            process.kill()


def test_a_process_that_is_killed_loses_its_lease_and_one_that_lives_keeps_it(other: subprocess.Popen[str]) -> None:
    mine = Leases(lease_s=1.5, machine="mine")
    assert mine.is_taken("stage")
    assert not mine.take("stage", timeout=3.0)  # longer than a lease without beats lasts
    other.kill()
    killed = time.monotonic()
    assert mine.take("stage", timeout=60.0)
    assert time.monotonic() - killed > 1.0
    mine.free("stage")
    assert Leases(machine="third").take("stage", timeout=0)


def test_only_one_of_many_has_it_at_a_time(lethe_home: Path) -> None:
    inside, most, errors = [], [], []

    def turn(name: str) -> None:
        try:
            own = Leases(lease_s=6.0, machine=name)
            for _ in range(3):
                assert own.take("stage")
                inside.append(name)
                most.append(len(inside))
                time.sleep(0.005)
                inside.remove(name)
                own.free("stage")
        except BaseException as error:
            errors.append(error)

    leases_of = [threading.Thread(target=turn, args=(str(number),)) for number in range(4)]
    for thread in leases_of:
        thread.start()
    for thread in leases_of:
        thread.join()
    assert (errors, len(most), set(most)) == ([], 12, {1})


def test_one_that_stood_still_says_that_it_lost_it(
    lethe_home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    slow, quick = Leases(lease_s=0.6, machine="slow"), Leases(lease_s=0.6, machine="quick")
    monkeypatch.setattr(slow, "_go_on", lambda: None)  # it stands still
    assert slow.take("stage")
    assert quick.take("stage", timeout=30)
    with caplog.at_level(logging.WARNING):
        slow._renew("stage", slow._held["stage"])
    assert "was lost" in caplog.text
    slow.free("stage")
    assert Leases(machine="third").is_taken("stage")
    assert quick._held.keys() == {"stage"}
    quick.free("stage")


def test_what_this_machine_left_is_taken_at_once_by_whoever_is_alone_on_it(lethe_home: Path) -> None:
    left = Leases(machine="one")
    left._go_on = lambda: None
    assert left.take("stage")
    assert not Leases(machine="two").take("stage", timeout=0, alone=True)
    assert not Leases(machine="one").take("stage", timeout=0)
    assert Leases(machine="one").take("stage", timeout=0, alone=True)


def test_a_number_that_was_given_before_is_not_taken_again(lethe_home: Path) -> None:
    first, second = Leases(machine="one"), Leases(machine="two")
    for _ in range(2):
        assert first.take("stage", timeout=0)
        first.free("stage")
    assert second._create("stage", 1) is None  # whoever looked long ago
    assert [file.name for file in leases._folder("stage").iterdir()] == ["2"]
    assert leases._newest(leases._folder("stage")) == (2, FREE)


def test_the_beats_end_with_the_last_lease(lethe_home: Path) -> None:
    mine = Leases(lease_s=0.6)
    assert mine.take("stage")
    beats = [leases._newest(leases._folder("stage"))[1]]
    wait_for(lambda: leases._newest(leases._folder("stage"))[1] != beats[0], "another beat", 30)
    mine.free("stage")
    wait_for(lambda: mine._beating is None, "the end of the beats", 30)
