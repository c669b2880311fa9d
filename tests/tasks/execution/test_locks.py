"""Claims: who holds a lock is told right while other threads take and free theirs; the rest of it stands with the
cache keys.
"""

import threading
from pathlib import Path

from tasks.execution.locks import KernelLocks


class Changing(dict):
    """Loses a key as soon as it has been found: as if another thread came in between."""

    def __contains__(self, key: object) -> bool:
        found = super().__contains__(key)
        self.pop(key, None)
        return found


def test_a_lock_that_is_freed_meanwhile_is_nobodys(lethe_home: Path) -> None:
    locks = KernelLocks()
    assert locks.acquire_lock("stage", "first")
    lock = locks._held["stage"][1]
    locks._held = Changing(locks._held)
    assert locks.is_lock_holder("stage", "first") in (True, False)
    lock.release()


def test_threads_that_want_one_lock_have_it_one_after_the_other(lethe_home: Path) -> None:
    locks, inside, most, errors = KernelLocks(), [], [], []

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
