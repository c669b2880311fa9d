"""Wait for something, or for a process to end, never for a fixed time: on a machine that has much else to do anything
takes longer, and only what stands still has failed.
"""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any, TypeVar

T = TypeVar("T")
PATIENCE_S = 600.0
"""Seconds without any sign of life after which something has failed."""
_LOOK_S = 1.0


def wait_for(found: Callable[[], T], what: str, seconds: float = PATIENCE_S, every_s: float = 0.1) -> T:
    """Return the first true value of `found`; `seconds` are a claim of the test only where it gives them."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(every_s)
    return value


def run_to_end(
    command: Sequence[str | Path], *watched: Path, said: str | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, as `subprocess.run` does with its output captured as text.

    Args:
        command: Program and arguments.
        watched: Folders in which it writes.
        said: What it reads from its standard input; nothing where there is none.
        options: Of `subprocess.Popen`.

    Raises:
        TimeoutError: If it neither says nor writes anything for `PATIENCE_S`; it has been killed then.
    """
    pipes = {"stdin": subprocess.DEVNULL if said is None else subprocess.PIPE}
    pipes |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([str(word) for word in command], text=True, **pipes, **options) as process:
        if said is not None:
            process.stdin.write(said)
            process.stdin.close()
        return end_of(process, *watched)


def end_of(
    process: "subprocess.Popen[str]", *watched: Path, patience_s: float = PATIENCE_S
) -> subprocess.CompletedProcess[str]:
    """Wait until a process ends, as long as it says something or writes below `watched`; return what it said.

    Raises:
        TimeoutError: If it does neither for `patience_s`; it has been killed then.
    """
    readers = [_Reader(stream) for stream in (process.stdout, process.stderr)]
    before, since = None, time.monotonic()
    while process.poll() is None:
        now = [reader.text for reader in readers], sorted(_traces(watched))
        if now != before:
            before, since = now, time.monotonic()
        elif time.monotonic() - since > patience_s:
            process.kill()
            last = "\n".join(reader.text[-2000:] for reader in readers)
            raise TimeoutError(f"{process.args} stood still for {patience_s:.0f} s; it had said: {last}")
        try:
            process.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            continue
    process.stdout = process.stderr = None  # the readers close them
    return subprocess.CompletedProcess(process.args, process.returncode, *(reader.whole() for reader in readers))


class _Reader:
    """Reads a pipe as it fills: a process that nobody reads stands still."""

    def __init__(self, stream: IO[str] | None) -> None:
        self.text, self._thread = "", threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream: IO[str] | None) -> None:
        if stream is not None:
            with stream:
                for line in stream:
                    self.text += line

    def whole(self) -> str:
        """Return all of it; a child that keeps the pipe open after its parent's end is not waited for long."""
        self._thread.join(30)
        return self.text


def _traces(folders: Sequence[Path]) -> Iterator[tuple[str, int, int]]:
    """Yield each file's name, size and time of change; not of databases, where a run logs the machine's load by the
    clock.
    """
    # unlike rglob it passes over a folder that has just gone
    rooms = (room for folder in folders for room in os.walk(folder))
    for path in (Path(place, name) for place, *names in rooms for name in chain.from_iterable(names)):
        if ".db" in path.name:
            continue
        try:
            found = path.stat()
        except OSError:  # it has just gone
            continue
        yield str(path), found.st_size, found.st_mtime_ns
