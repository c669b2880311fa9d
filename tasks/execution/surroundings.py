"""What a stage needs beside its arguments wherever it runs: which store, how many threads, how equal the bits, and
whom to tell how far it is. On the machine of its flow it has all that by itself; to a worker of a cluster it travels,
as plain data, with the stage's task.

What workers say of their progress stands in small files in a folder of the flow run, in the store that all machines
share: it needs no further connection. A folder that is gone says that the flow run has ended: what still runs for it
ends, and what waits does not begin.
"""

import hashlib
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tasks import store
from tasks.artifacts import BadInputError
from tasks.execution import progress
from tasks.execution.progress import Progress

CARRIED = (
    "LETHE_HOME",
    "LETHE_RETENTION_DAYS",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_DISABLE_TELEMETRY",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
    "MLFLOW_HTTP_REQUEST_TIMEOUT",
    "DO_NOT_TRACK",
    "HF_HUB_DISABLE_TELEMETRY",
    "TOKENIZERS_PARALLELISM",
    "OMP_WAIT_POLICY",
    "MKL_CBWR",
)
"""Variables that a worker is given: the store, where runs are tracked, and what decides the last bit. No passwords:
those are set where workers are started."""
EVERY_S = 0.5
"""Seconds between two words of a stage's progress, and between two looks for them."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What travels to a worker."""

    home: str
    """The store's folder, the same on every machine."""
    mark: str
    """By which the worker knows that it is this store."""
    news: str
    """Folder of the flow run's progress, there as long as the run is."""
    bitwise: bool
    """Whether results must be equal to the last bit."""
    threads: int = 0
    """Threads of a stage that has a machine to itself; 0: as many as the worker has."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variable -> value, of those in `CARRIED`."""


_bitwise: ContextVar[bool] = ContextVar("lethe_bitwise", default=True)
_sending: ContextVar[Surroundings | None] = ContextVar("lethe_sending", default=None)
"""On the machine of a flow whose stages go to workers: what they are given."""
_taken: ContextVar[Surroundings | None] = ContextVar("lethe_surroundings", default=None)
"""On a worker: what the stage was given that runs in this context."""
_binding = threading.Lock()
_bound: Surroundings | None = None
"""What this worker's process was first given: its environment is of that store."""


def is_bitwise() -> bool:
    """Return whether results that may differ in their last bits are held apart here."""
    taken = _taken.get()
    return _bitwise.get() if taken is None else taken.bitwise


def threads() -> int:
    """Return how many threads were asked for by whoever sent the stage, or 0."""
    taken = _taken.get()
    return taken.threads if taken else 0


def sending() -> Surroundings | None:
    """Return what stages are given that are submitted here, or None where they stay on this machine."""
    return _sending.get()


def is_wanted() -> bool:
    """Return whether the flow run still is for which the stage runs here."""
    taken = _taken.get()
    return taken is None or Path(taken.news).is_dir()


@contextmanager
def kept_apart(bitwise: bool) -> Iterator[None]:
    """Hold results apart, or not, that may differ in their last bits, while the block runs."""
    before = _bitwise.set(bitwise)
    try:
        yield
    finally:
        _bitwise.reset(before)


@contextmanager
def kept_here() -> Iterator[None]:
    """Keep stages that are submitted in the block on this machine, also where those around it are sent."""
    before = _sending.set(None)
    try:
        yield
    finally:
        _sending.reset(before)


@contextmanager
def sent(cores: int) -> Iterator[None]:
    """Give stages that are submitted in the block what they need on workers, and pass on what those say.

    Args:
        cores: Threads of a stage that has the machine to itself, where bits are to be equal; 0: the worker's own.
    """
    with store.scratch() as folder:
        given = Surroundings(
            home=str(store.home()),
            mark=store.keyed("store"),
            news=str(folder),
            bitwise=_bitwise.get(),
            threads=cores,
            environment={name: os.environ[name] for name in CARRIED if name in os.environ}
            | {"LETHE_HOME": str(store.home())},
        )
        before = _sending.set(given)
        try:
            with followed(folder):
                yield
        finally:
            _sending.reset(before)


def take_up(given: Surroundings | None) -> None:
    """Take up what a stage was sent with, on the worker that is to run it; nothing where it was not sent.

    Raises:
        BadInputError: If the worker does not see the store, or works for another one.
    """
    _taken.set(given)
    if given is not None:
        _require_store(given)
        _bind(given)


def _require_store(given: Surroundings) -> None:
    """Refuse a worker that has another folder in the store's place, before anything is written there."""
    secret, machine = Path(given.home) / "secret", socket.gethostname()
    if not secret.is_file():
        raise BadInputError(
            f"the worker on {machine} does not see the store {given.home}; wanted the same folder on every machine"
        )


def _bind(given: Surroundings) -> None:
    global _bound
    with _binding:
        if _bound is None:
            os.umask(0o077)  # what a worker writes holds what is to be forgotten, too
            os.environ.update(given.environment)
            _hush()
            progress.listen(_tell)
            _bound = given
        if _bound.home != given.home or store.keyed("store") != given.mark:
            raise BadInputError(
                f"the worker on {socket.gethostname()} works for the store {_bound.home}; wanted one of its own for"
                f" {given.home}"
            )


def _hush() -> None:
    """Let the worker's own log say nothing of the stages: what fails names files; the flow's log has it."""
    from prefect.logging.handlers import PrefectConsoleHandler

    for name in ("", "prefect", "prefect.flow_runs", "prefect.task_runs"):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, PrefectConsoleHandler):
                handler.setLevel(logging.CRITICAL)


_told: dict[Path, float] = {}


def _tell(said: Progress) -> None:
    """Write down how far a stage of this worker is, not too often, but always at its end."""
    taken = _taken.get()
    if taken is None:
        return
    name = hashlib.sha256(f"{socket.gethostname()} {os.getpid()} {said.stage}".encode()).hexdigest()[:24]
    file, now = Path(taken.news) / f"{name}.json", time.monotonic()
    if said.done < said.total and now - _told.get(file, -EVERY_S) < EVERY_S:
        return
    _told[file] = now
    temporary = file.with_suffix(f".{threading.get_ident()}.tmp")
    with suppress(FileNotFoundError):  # the flow run has ended
        temporary.write_text(json.dumps(asdict(said)), encoding="utf-8")
        temporary.replace(file)


@contextmanager
def followed(folder: Path) -> Iterator[None]:
    """Publish here what workers write into a folder, while the block runs and once more at its end."""
    over, seen = threading.Event(), {}

    def follow() -> None:
        while not over.wait(EVERY_S):
            _pass_on(folder, seen)

    thread = threading.Thread(target=follow, name="lethe-news", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        _pass_on(folder, seen)


def _pass_on(folder: Path, seen: dict[Path, str]) -> None:
    for file in sorted(folder.glob("*.json")):
        with suppress(OSError, ValueError, TypeError):  # what a worker's machine makes of itself is no reason to fail
            text = file.read_text(encoding="utf-8")
            if text != seen.get(file):
                seen[file] = text
                progress.publish(Progress(**json.loads(text)))
