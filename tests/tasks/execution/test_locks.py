"""Claims: who holds a lock is told right while other threads take and free theirs; a stage that waits for one says so,
in its log and where progress is shown; the rest of it stands with the cache keys.
"""

import threading
from pathlib import Path

import pytest
from prefect import flow, task

from tasks.execution import progress
from tasks.execution.locks import StageLocks
from tasks.execution.progress import Progress


class Changing(dict):
    """Loses a key as soon as it has been found: as if another thread came in between."""

    def __contains__(self, key: object) -> bool:
        found = super().__contains__(key)
        self.pop(key, None)
        return found


def test_a_lock_that_is_freed_meanwhile_is_nobodys(lethe_home: Path) -> None:
    locks = StageLocks()
    assert locks.acquire_lock("stage", "first")
    lock = locks._held["stage"][1]
    locks._held = Changing(locks._held)
    assert locks.is_lock_holder("stage", "first") in (True, False)
    lock.release()


def test_threads_that_want_one_lock_have_it_one_after_the_other(lethe_home: Path) -> None:
    locks, inside, most, errors = StageLocks(), [], [], []

    def turn(holder: str) -> None:
        try:
            for _ in range(5):
                assert locks.acquire_lock("stage", holder)
                inside.append(holder)
                most.append(len(inside))
                assert locks.is_lock_holder("stage", holder)
                inside.remove(holder)
                locks.release_lock("stage", holder)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=turn, args=(str(number),)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert (len(most), set(most)) == (30, {1})


def test_a_stage_that_waits_for_another_run_says_so(flow_home: Path, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Progress] = []
    stop, other = progress.listen(seen.append), StageLocks()

    @task(name="patient")
    def patient() -> bool:
        threading.Timer(0.3, other.release_lock, ("stage", "other")).start()
        return StageLocks().acquire_lock("stage", "mine")

    assert other.acquire_lock("stage", "other")
    try:
        assert flow(lambda: patient.submit().result(), name="waits")()
    finally:
        stop()
    assert [(said.stage[:7], said.done, said.note) for said in seen] == [
        ("patient", 0, "waits for another run"),
        ("patient", 1, ""),
    ]
    assert "Waiting: another run computes this stage" in caplog.text


def test_a_free_lock_is_taken_without_a_word_and_one_that_is_held_is_not_waited_for_without_leave(
    lethe_home: Path,
) -> None:
    seen: list[Progress] = []
    stop, locks, other = progress.listen(seen.append), StageLocks(), StageLocks()
    try:
        assert locks.acquire_lock("stage", "mine", acquire_timeout=0)
        assert not other.acquire_lock("stage", "other", acquire_timeout=0)
        assert not other.wait_for_lock("stage", timeout=0.05)
    finally:
        stop()
    assert seen == []
