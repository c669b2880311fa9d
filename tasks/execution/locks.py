"""Locks on cache keys that die with their holder, whichever machine it was on.

On one machine the kernel frees a file's lock at once when its holder dies, but not every file system tells other
machines of it. So whoever has the kernel's lock takes a lease too, which machines see that share nothing but a folder.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from filelock import FileLock, Timeout
from prefect import get_run_logger
from prefect.runtime import task_run

from tasks import store
from tasks.execution import progress
from tasks.execution.leases import Leases
from tasks.execution.progress import Progress


class StageLocks:
    """Prefect's lock protocol over `flock` and leases: two runs that want one artifact compute it once, and a killed
    run leaves no lock.
    """

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, FileLock]] = {}
        self._leases = Leases()

    def __deepcopy__(self, memo: dict[int, Any]) -> "StageLocks":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return StageLocks, ()  # what a process holds, no other process does

    def _lock(self, key: str) -> FileLock:
        folder = store.home() / "locks"
        folder.mkdir(mode=0o700, exist_ok=True)
        return FileLock(folder / f"{key}.lock", thread_local=False)

    def acquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        """Take the lock, waiting at most `acquire_timeout` seconds (None: for as long as it takes)."""
        if self.is_lock_holder(key, holder):
            return True
        lock = self._lock(key)
        if not self._acquire(key, lock, acquire_timeout):
            return False
        self._held[key] = (holder, lock)
        return True

    def _acquire(self, key: str, lock: FileLock, timeout: float | None) -> bool:
        """Take a lock within some seconds (None: for as long as it takes); whoever has to wait says so."""
        if self._taken(key, lock, 0.0):
            return True
        if timeout == 0:
            return False
        with _said():
            return self._taken(key, lock, timeout)

    def _taken(self, key: str, lock: FileLock, timeout: float | None) -> bool:
        began = time.monotonic()
        try:
            lock.acquire(timeout=-1.0 if timeout is None else timeout)
        except Timeout:
            return False
        try:
            left = None if timeout is None else max(0.0, timeout - (time.monotonic() - began))
            taken = self._leases.take(key, left, alone=True)
        except BaseException:
            lock.release()
            raise
        if not taken:
            lock.release()
        return taken

    async def aacquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        """As `acquire_lock`, off the event loop."""
        import asyncio

        return await asyncio.to_thread(self.acquire_lock, key, holder, acquire_timeout, hold_timeout)

    def release_lock(self, key: str, holder: str) -> None:
        """Free the lock; only its holder can."""
        if not self.is_lock_holder(key, holder):
            raise ValueError(f"no lock of {key} is held by {holder}; wanted its holder")
        lock = self._held.pop(key)[1]
        self._leases.free(key)
        lock.release()

    def is_locked(self, key: str) -> bool:
        """Return whether anyone holds the lock."""
        if key in self._held:
            return True
        lock = self._lock(key)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        try:
            return self._leases.is_taken(key)
        finally:
            lock.release()

    def is_lock_holder(self, key: str, holder: str) -> bool:
        """Return whether `holder` has the lock."""
        held = self._held.get(key)  # looked up once: another thread may free it in between
        return held is not None and held[0] == holder

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Wait until the lock is free."""
        lock = self._lock(key)
        if not self._acquire(key, lock, timeout):
            return False
        self._leases.free(key)
        lock.release()
        return True

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """As `wait_for_lock`, off the event loop."""
        import asyncio

        return await asyncio.to_thread(self.wait_for_lock, key, timeout)


@contextmanager
def _said() -> Iterator[None]:
    """Tell whoever reads the task run's log, and whoever watches progress, why nothing happens."""
    if task_run.name is None:  # asked for outside a run
        yield
        return
    get_run_logger().info("Waiting: another run computes this stage; its result will be taken.")
    waiting = Progress(stage=task_run.name, done=0, total=1, note="waits for another run")
    progress.publish(waiting)
    try:
        yield
    finally:
        progress.publish(replace(waiting, done=1, note=""))
