"""Stages and functions that tests run in child processes."""

import logging
import os
import signal
import sys
import time
from pathlib import Path

from tasks import store, tracking
from tasks.artifacts import Artifact, BadInputError
from tasks.execution import isolation, progress
from tasks.execution.stage import stage


def double(number: int) -> int:
    """Return twice the number, after some progress."""
    progress.report(1, 2, "half way")
    progress.report(2, 2)
    return 2 * number


def surroundings() -> dict[str, object]:
    """Return what a stage sees of its process."""
    import torch

    return {"process": os.getpid(), "threads": torch.get_num_threads(), "home": os.environ.get("LETHE_HOME", "")}


def libraries_for_a_run() -> list[str]:
    """Open a run as every stage does, and return the libraries that no part of was loaded before."""

    def loaded() -> set[str]:
        return {name.partition(".")[0] for name in sys.modules}

    before = loaded()
    tracking.open_run("a run", {}, {})
    return sorted(loaded() - before)


def refuse(message: str) -> None:
    """Fail as on bad input."""
    raise BadInputError(message)


class AwkwardError(Exception):
    """An error that does not survive pickling: its constructor wants two arguments."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def fail_awkwardly() -> None:
    """Fail with an error that cannot be sent."""
    raise AwkwardError("two", "words")


def die() -> None:
    """End as the kernel ends a process that is out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def hang(file: str) -> None:
    """Write the process id and never end."""
    Path(file).write_text(str(os.getpid()), encoding="utf-8")
    while True:
        time.sleep(0.1)


def _tries(folder: str) -> int:
    """Count this try and return how many there were."""
    (Path(folder) / f"{time.time_ns()}-{os.getpid()}").touch()
    return len(list(Path(folder).iterdir()))


def _note(text: str) -> Artifact:
    digest = store.put("notes", lambda folder: (folder / "note.txt").write_text(text) and None)
    return Artifact(kind="notes", digest=digest, sensitivity="ordinary")


@stage("noting", isolated=False, retries=0)
def take_note(text: str, counter: str, run: str | None = None) -> Artifact:
    """Store a text; every computation is counted."""
    _tries(counter)
    return _note(text)


@stage("copying", isolated=False, retries=0)
def copy_note(note: Artifact, words: str, counter: str, label: str, run: str | None = None) -> Artifact:
    """Store another text beside a note's."""
    _tries(counter)
    return _note(f"{note.digest} {words}")


@stage("copying several", isolated=False, retries=0)
def copy_notes(notes: tuple[Artifact, ...], run: str | None = None) -> Artifact:
    """Store which notes it was given."""
    return _note("\n".join(note.digest for note in notes))


@stage("noting slowly", isolated=False, retries=0)
def take_note_slowly(text: str, counter: str) -> Artifact:
    """As `take_note`, but slow enough that two runs meet."""
    _tries(counter)
    time.sleep(1.5)
    return _note(text)


@stage("noting in the end", retries=2)
def take_note_in_the_end(text: str, counter: str) -> Artifact:
    """Die once, as on a machine that is short of memory, then go on from what was kept, and store a text."""
    kept = store.workspace(isolation.current_key() or "") / "state"
    if _tries(counter) < 2:
        kept.write_text(text)
        die()
    return _note(kept.read_text())


@stage("refusing", retries=2)
def refuse_note(text: str, counter: str) -> Artifact:
    """Refuse the input, always."""
    _tries(counter)
    raise BadInputError(f"{text!r} is no good; wanted something else")


@stage("noting apart", retries=2)
def take_note_apart(text: str, counter: str, run: str | None = None) -> Artifact:
    """As `take_note`, in a process of its own and tracked."""
    _tries(counter)
    with tracking.stage_run(run, "noting apart"):
        return _note(text)


@stage("finishing slowly", retries=2)
def finish_slowly(note: Artifact, seconds: float, counter: str, run: str | None = None) -> Artifact:
    """Store another text beside a note's, after some seconds in which it logs how many are left."""
    _tries(counter)
    with tracking.stage_run(run, "finishing slowly") as nested:
        progress.report(0, 1)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            tracking.log_metrics(nested, {"left_s": left})
            time.sleep(0.2)
        return _note(f"{note.digest} finished")


def _log(words: str) -> None:
    logging.getLogger("tasks.told").info("%s: begun", words)
    logging.getLogger("tasks.told").warning("%s: %d %% of it", words, 50)
    logging.getLogger("elsewhere").error("%s: a library's", words)


@stage("telling", isolated=False, retries=0)
def tell(words: str) -> Artifact:
    """Log at two levels, and as a library does."""
    _log(words)
    return _note(words)


@stage("telling apart", retries=0)
def tell_apart(words: str) -> Artifact:
    """As `tell`, in a process of its own."""
    _log(words)
    return _note(words)
