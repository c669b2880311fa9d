"""Ctrl-C that is not lost.

Python raises KeyboardInterrupt wherever the main thread happens to be, and some places swallow it: callbacks of the
garbage collector, and libraries that guard their own bookkeeping. What was asked for is remembered, and raised again
where a flow waits for its stages.
"""

import signal
import threading
from types import FrameType

_asked = threading.Event()


def listen() -> None:
    """Remember Ctrl-C from now on; call it in the main thread."""
    _asked.clear()
    signal.signal(signal.SIGINT, _remember)


def _remember(number: int, frame: FrameType | None) -> None:
    _asked.set()
    raise KeyboardInterrupt


def check() -> None:
    """Stop if that was asked for.

    Raises:
        KeyboardInterrupt: If Ctrl-C was pressed and has got lost since.
    """
    if _asked.is_set():
        raise KeyboardInterrupt
