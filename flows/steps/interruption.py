"""Ctrl-C and SIGTERM that are not lost, and that end a command in time.

Python raises an exception wherever the main thread happens to be, and some places swallow it: callbacks of the garbage
collector, and libraries that guard their own bookkeeping. Prefect has a handler for SIGTERM of its own while a flow
runs. So what was asked for is noted by a thread that the kernel's signals reach whoever handles them, raised again
where a flow waits for its stages, and after some seconds the command ends by force: threads that compute or wait for a
server cannot be stopped otherwise. Its children end with it.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

GRACE_S = 6.0
"""Seconds that a command has to end by itself after SIGTERM, or when what it needs is gone; ten is what it promises."""
PATIENT_GRACE_S = 60.0
"""The same after Ctrl-C: a person waits, and runs are noted as stopped also on a machine that has much else to do."""


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Why a command ends before it is done."""

    status: int
    """Exit status."""
    line: str
    """What is said about it."""
    grace_s: float = GRACE_S
    """Seconds after which it is ended by force."""


STOPPED = "stopped; what was finished is kept, run the same command again to go on"
SIGNALS = {
    int(number): Stop(status=128 + number, line=STOPPED, grace_s=grace_s)
    for number, grace_s in ((signal.SIGINT, PATIENT_GRACE_S), (signal.SIGTERM, GRACE_S))
}
"""Signal -> how it ends a command: with the status that shells give."""


class _Asked:
    """What was asked for, the first time."""

    def __init__(self) -> None:
        self.stop: Stop | None = None
        self.over = threading.Event()
        """Set when nobody is to be ended by force any more."""
        self._lock, self._said = threading.RLock(), False  # a handler may come in while it is held

    def ask(self, stop: Stop) -> None:
        """Note why the command is to end, unless it was asked for already."""
        with self._lock:
            first, self.stop = self.stop is None, self.stop or stop
        if first:
            threading.Thread(target=self._end_by_force, name="lethe-end", daemon=True).start()

    def _end_by_force(self) -> None:
        if not self.over.wait(self.stop.grace_s):
            if self.is_new():
                os.write(2, f"lethe: {self.stop.line}\n".encode())  # whoever hangs may have locked sys.stderr
            os._exit(self.stop.status)

    def is_new(self) -> bool:
        """Return whether its line has not been said; from now on it has."""
        with self._lock:
            said, self._said = self._said, True
        return not said


_asked = _Asked()
_held = False
"""Whether a signal is noted and no more."""
_listening: int | None = None
"""Descriptor that the kernel's signals are written to."""


def listen() -> None:
    """Note Ctrl-C and SIGTERM from now on; call it in the main thread."""
    global _asked, _listening
    _asked.over.set()
    _asked, before = _Asked(), _listening
    # a pipe for each: what came earlier, and is noted late, is not held against what begins now
    reading, _listening = os.pipe()
    os.set_blocking(_listening, False)
    threading.Thread(target=_note, args=(reading, _asked), name="lethe-signals", daemon=True).start()
    signal.set_wakeup_fd(_listening, warn_on_full_buffer=False)
    for number in SIGNALS:
        signal.signal(number, _remember)
    if before is not None:
        os.close(before)  # and its thread ends


def forget() -> None:
    """Let nobody be ended by force any more for what was asked for."""
    _asked.over.set()


def _note(reading: int, asked: _Asked) -> None:
    """Note signals as they come, also those that somebody else handles, until nobody writes them any more."""
    while numbers := os.read(reading, 64):
        for number in numbers:
            if number in SIGNALS:
                asked.ask(SIGNALS[number])
    os.close(reading)


def _remember(number: int, frame: FrameType | None) -> None:
    _asked.ask(SIGNALS[number])
    if not _held:
        raise KeyboardInterrupt


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let a signal stop the command at the end of a block that must not be left in the middle, and not within it.

    Raises:
        KeyboardInterrupt: At its end, if one came.
    """
    global _held
    _held = True
    try:
        yield
    finally:
        _held = False
    check()


def break_off(line: str) -> None:
    """End the command with status 1 and a line, from whichever thread: what it needs is gone."""
    _asked.ask(Stop(status=1, line=line))
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # wakes it, wherever it waits


def check() -> None:
    """Stop if that was asked for.

    Raises:
        KeyboardInterrupt: If Ctrl-C was pressed, or the like, and has got lost since.
    """
    if _asked.stop is not None:
        raise KeyboardInterrupt


def asked() -> bool:
    """Return whether the command was asked to stop."""
    return _asked.stop is not None


def status() -> int:
    """Say why the command ends, once, and return its exit status; without a reason that of Ctrl-C."""
    stop = _asked.stop or SIGNALS[signal.SIGINT]
    if _asked.is_new():
        print(f"lethe: {stop.line}", file=sys.stderr, flush=True)
    return stop.status
