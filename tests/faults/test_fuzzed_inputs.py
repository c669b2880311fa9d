"""Claims: whatever stands in a file that a user brings, it is read, or refused as the project's own input error; no
other exception, nothing that takes long, nothing that eats memory.
"""

import contextlib
import resource
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks import store
from tests.stand_ins.mutations import mutated
from tests.stand_ins.user_files import READERS, Reader

KIND = "damaged and hostile files"
SECONDS = 2.0
"""Of processor time, that a file of a few kilobytes may take."""
PATIENCE = 60.0
"""Seconds by the clock after which a reader waits for something; other things may keep the cores busy."""
MEMORY = 2 << 30
"""Bytes beyond those that are in use, address space included, which libraries reserve more of than they touch."""
SHOWN = 12
"""Escapes that are named, each by its smallest input."""


class Hang(BaseException):
    """Nothing that a reader may catch."""


@contextlib.contextmanager
def bounds() -> Iterator[Callable[[], None]]:
    """Give every input its time, and all of them together some memory; yields what starts the clock anew."""

    def ring(signum: int, frame: Any) -> None:
        raise Hang

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = [(number, signal.signal(number, ring)) for number in (signal.SIGPROF, signal.SIGALRM)]
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
    try:
        yield lambda: _set_clocks(SECONDS, PATIENCE)
    finally:
        _set_clocks(0.0, 0.0)
        for number, handler in before:
            signal.signal(number, handler)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _set_clocks(processor: float, clock: float) -> None:
    signal.setitimer(signal.ITIMER_PROF, processor)
    signal.setitimer(signal.ITIMER_REAL, clock)


def escaped(reader: Reader, folder: Path, content: bytes, start: Callable[[], None]) -> str:
    """Return how an input got past its reader; empty where it was read or refused."""
    begun = time.process_time()
    try:
        start()
        reader.read(folder, content)
    except reader.refused as refusal:
        return "a message without words" if not str(refusal).strip() else ""
    except Hang:
        return f"nothing after {SECONDS} s"
    except BaseException as error:  # a library's panic is no Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/tasks/" in frame.filename]
        place = f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else "elsewhere"
        return f"{type(error).__name__} in {place}"
    return f"{SECONDS} s and more" if time.process_time() - begun > SECONDS else ""


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in memory, where there is one: tens of thousands of files are written. LETHE_HOME is beside it."""
    memory = Path("/dev/shm")  # noqa: S108 - only to make a folder of its own there
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        monkeypatch.setenv("LETHE_HOME", str(Path(folder) / "lethe"))
        monkeypatch.setattr(store, "_checked", set())
        (Path(folder) / "files").mkdir()
        yield Path(folder) / "files"


def fuzz(name: str, numbers: range, folder: Path, record_property: Callable[[str, object], None]) -> None:
    reader, found = READERS[name], dict[str, bytes]()
    held = 0
    with bounds() as start:
        for number in numbers:
            content = mutated(reader.seeds, number)
            how = escaped(reader, folder, content, start)
            held += not how
            if how and len(content) < len(found.get(how, content + b"-")):
                found[how] = content
    record_property("tried", len(numbers))
    record_property("held", held)
    shown = "\n".join(f"{how}: {content[:300]!r}" for how, content in list(found.items())[:SHOWN])
    assert held == len(numbers), f"{len(numbers) - held} of {len(numbers)} {name} escaped\n{shown}"


@pytest.mark.parametrize("name", READERS)
def test_good_files_are_read(name: str, room: Path) -> None:
    """Else what is made of them would be refused for another reason."""
    for seed in READERS[name].seeds:
        if not seed.startswith(b"<html"):
            READERS[name].read(room, seed)


@pytest.mark.parametrize("name", READERS)
def test_a_few_files(name: str, room: Path, record_property: Callable[[str, object], None]) -> None:
    fuzz(name, range(200), room, record_property)


@pytest.mark.faults
@pytest.mark.parametrize("name", READERS)
def test_many_files(name: str, room: Path, record_property: Callable[[str, object], None]) -> None:
    fuzz(name, range(200, 10_200), room, record_property)
