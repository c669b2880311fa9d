"""Leases: locks that hold over machines which share nothing but a folder, and that a dead holder loses.

    LETHE_HOME/locks/leases/<key>/<number>      the newest number counts

To take a lease is to create the next number, which only one can: the file system sees to that. Its holder writes a new
beat into it now and then. Whoever waits watches the newest file, and takes the next number when that says `free`, or
when nothing in it has changed for `LEASE_S` by the watcher's own clock: clocks of two machines are never compared. The
newest file is never deleted, so that no number is given twice.
"""

import json
import logging
import os
import platform
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tasks import store

LEASE_S = 60.0
"""Seconds without a beat after which a holder on another machine counts as dead."""
BEATS = 6
"""Beats within that time: a holder that is short of time may miss some."""
LOOK_S = 0.5
"""Seconds between two looks at a lease that somebody else has."""
FREE = b"free"
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Lease:
    """A lease that this process has."""

    file: Path
    descriptor: int
    """Open on the file that it created: after another has taken over, it leads to nothing that anyone reads."""
    beat: int = 0


class Leases:
    """The leases of this process, on keys of the store."""

    def __init__(self, lease_s: float = LEASE_S, machine: str | None = None) -> None:
        """Begin without any.

        Args:
            lease_s: Seconds without a beat after which a holder counts as dead.
            machine: What this machine is called; by default what no other is.
        """
        self._lease_s, self._machine = lease_s, machine or this_machine()
        self._held: dict[str, _Lease] = {}
        self._beating: threading.Thread | None = None
        self._guard = threading.Lock()

    def take(self, key: str, timeout: float | None = None, *, alone: bool = False) -> bool:
        """Take the lease on a key, waiting at most `timeout` seconds (None: for as long as it takes).

        Args:
            key: What is locked.
            timeout: In seconds.
            alone: Whether nobody else on this machine can have it: one that this machine left is then taken at once.
        """
        seen, since = None, time.monotonic()
        until = None if timeout is None else since + timeout
        while True:
            found, now = _newest(_folder(key)), time.monotonic()
            if found != seen:
                seen, since = found, now
            number, content = found
            over = now - since >= self._lease_s or (alone and _machine_of(content) == self._machine)
            if (content == FREE or over) and (lease := self._create(key, number + 1)):
                self._keep(key, lease)
                return True
            if until is not None and time.monotonic() >= until:
                return False
            time.sleep(min(LOOK_S, self._lease_s / BEATS))

    def free(self, key: str) -> None:
        """Give a lease back; one that this process has not, or has lost, stays as it is."""
        with self._guard:
            lease = self._held.pop(key, None)
        if lease:
            _write(lease.descriptor, FREE)
            os.close(lease.descriptor)

    def is_taken(self, key: str) -> bool:
        """Return whether another machine has a lease, or had it when it died."""
        content = _newest(_folder(key))[1]
        return content != FREE and _machine_of(content) != self._machine

    def _create(self, key: str, number: int) -> _Lease | None:
        """Create the file of a number, or return None where somebody else was faster."""
        file = _folder(key) / str(number)
        try:
            descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        except FileExistsError:
            return None
        lease = _Lease(file=file, descriptor=descriptor)
        self._beat(lease)
        newest = _newest(_folder(key))[0]
        if newest > number:  # this number had been given before, and its file was deleted
            os.close(descriptor)
            file.unlink(missing_ok=True)
            return None
        for earlier in _numbers(_folder(key)):
            if earlier < number:
                file.with_name(str(earlier)).unlink(missing_ok=True)
        return lease

    def _keep(self, key: str, lease: _Lease) -> None:
        with self._guard:
            self._held[key] = lease
            if self._beating is None:
                self._beating = threading.Thread(target=self._go_on, name="lethe-leases", daemon=True)
                self._beating.start()

    def _go_on(self) -> None:
        """Let all leases beat, as long as there are any."""
        while True:
            time.sleep(self._lease_s / BEATS)
            with self._guard:
                for key, lease in list(self._held.items()):
                    self._renew(key, lease)
                if not self._held:
                    self._beating = None
                    return

    def _renew(self, key: str, lease: _Lease) -> None:
        try:
            if not _is_same(lease):
                _log.warning(
                    "the lease on %s was lost: this process stood still, and another took over; what both make is the"
                    " same",
                    key,
                )
                os.close(self._held.pop(key).descriptor)
                return
            self._beat(lease)
        except OSError as error:  # the next beat may do better
            _log.warning("the lease on %s could not be renewed (%s)", key, error.strerror)

    def _beat(self, lease: _Lease) -> None:
        lease.beat += 1
        # host and process are for whoever looks for what holds a stage up
        told = {"machine": self._machine, "host": platform.node(), "process": os.getpid(), "beat": lease.beat}
        _write(lease.descriptor, json.dumps(told).encode())


@cache
def this_machine() -> str:
    """Return what no other machine is called: the number of this start of its kernel, where there is one."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{platform.node()} {uuid.getnode()}"


def _folder(key: str) -> Path:
    folder = store.home() / "locks" / "leases" / key
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _numbers(folder: Path) -> list[int]:
    return [int(file.name) for file in folder.iterdir() if file.name.isdecimal()]


def _newest(folder: Path) -> tuple[int, bytes]:
    """Return the newest number and what its file says; without any 0, which is free."""
    while number := max(_numbers(folder), default=0):
        with suppress(FileNotFoundError):  # deleted meanwhile: there is a newer one
            return number, (folder / str(number)).read_bytes()
    return 0, FREE


def _machine_of(content: bytes) -> str | None:
    """Return whose lease it is; None where nobody's, or where it is just being written."""
    try:
        return json.loads(content)["machine"]
    except (ValueError, KeyError, TypeError):
        return None


def _write(descriptor: int, content: bytes) -> None:
    os.pwrite(descriptor, content, 0)
    os.ftruncate(descriptor, len(content))
    os.fsync(descriptor)


def _is_same(lease: _Lease) -> bool:
    """Return whether the file is still the one that was created."""
    with suppress(FileNotFoundError):
        found, own = lease.file.stat(), os.fstat(lease.descriptor)
        return (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino)
    return False
