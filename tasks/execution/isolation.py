"""Run a stage in a process of its own, with its own thread count.

Torch's thread count is process-wide, so stages that run side by side need processes of their own, and bit-identity
needs a fixed count. A fork server that has imported torch once makes a new process cheap; it starts with the first
stage that is not in the cache. The child dies with its parent, and with its time limit.
"""

import multiprocessing
import os
import pickle
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from multiprocessing import connection, forkserver
from types import ModuleType
from typing import Any

from tasks.execution import logs, progress, surroundings

PRELOADED = (
    "torch",
    "transformers",
    "transformers.modeling_utils",
    "accelerate",
    "numpy",
    "pandas",
    "tasks.execution.stage",
    "mlflow",
    "mlflow.store.tracking.sqlalchemy_store",
    "tasks.algorithms.training.loop",
)
"""Imported once by the fork server: every stage needs them, and together they take longer than many a stage. Prefect's
parts, and MLflow's for its database, are else loaded when they are first used: by each stage, a second of processor
time."""
GRACE_S = 5.0
"""Seconds that a child has to end by itself after its result."""
SAFE_PATH = {"PYTHONSAFEPATH": "1"}
"""Environment of a Python that runs no file of the current folder: that may be a model's that somebody downloaded."""
_starting = threading.Lock()
"""Held while the fork server starts, for which this process' environment is changed; whoever copies that waits."""
_key: ContextVar[str | None] = ContextVar("lethe_stage_key", default=None)
_minding = threading.Lock()
"""Held while a child is started and while its end is read: starting one asks after all others, and an end can be read
once only, from a descriptor that is closed then."""
_children: set[Any] = set()
_ending = threading.Event()
_PASSED_ON: dict[str, Callable[[Any], None]] = {"progress": progress.publish, "message": logs.repeat}
"""What a child sends before its end -> what is done with it here."""


class StageAbortedError(RuntimeError):
    """The flow run is ending, and with it the stage; it is not tried again."""


class StageProcessDiedError(RuntimeError):
    """The process of a stage ended without a result: killed, or out of memory."""


def cores() -> int:
    """Return how many threads a stage that has the machine to itself uses."""
    chosen = surroundings.threads() or os.environ.get("LETHE_THREADS")
    return (
        int(chosen)
        if chosen
        else len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1
    )


def current_key() -> str | None:
    """Return the cache key of the stage that runs here, or None outside the orchestrator."""
    return _key.get()


def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    with _starting:  # it is started with this process' environment
        before = {name: os.environ.get(name) for name in SAFE_PATH}
        os.environ.update(SAFE_PATH)
        try:
            forkserver.ensure_running()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
    return context


@contextmanager
def _no_main() -> Iterator[None]:
    """Let a process that is started know of no script that this one runs: it would run it too, and where that begins a
    flow without asking whether it is the main one, so would its children, without end.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _as_parent() -> Iterator[None]:
    """Let a daemonic process have a child, as workers of Dask are: it may not, lest an orphan be left when it is ended,
    and ours end by themselves.
    """
    config = multiprocessing.current_process()._config
    before = config.get("daemon", False)
    config["daemon"] = False
    try:
        yield
    finally:
        config["daemon"] = before


def _environment() -> dict[str, str]:
    """Return a copy of this process' environment, in which no other thread's changes are seen half."""
    with _starting:
        return {name: value for name in list(os.environ) if (value := os.environ.get(name)) is not None}


def run_isolated(
    function: Callable[..., Any],
    arguments: dict[str, Any],
    *,
    stage: str,
    key: str | None,
    threads: int,
    timeout_s: float,
) -> Any:
    """Call `function` in a child process and return what it returns.

    Args:
        function: A module-level function.
        arguments: Its keyword arguments: records and configs.
        stage: Name for progress.
        key: Cache key, for the stage's workspace.
        threads: Torch threads of the child.
        timeout_s: Seconds after which the child is killed.

    Raises:
        TimeoutError: If the time limit passed.
        StageProcessDiedError: If the child ended without a result.
        StageAbortedError: If the flow run ended before.
        Exception: What the function raised.
    """
    if _ending.is_set() or not surroundings.is_wanted():
        raise StageAbortedError(f"stage {stage} was not begun: its flow run is ending")
    ours, theirs = multiprocessing.Pipe()
    target = (function.__module__, function.__qualname__)
    child = _context().Process(
        target=_serve,
        args=(theirs, target, arguments, stage, key, threads, os.getpid(), _environment()),
        daemon=False,
    )
    with _minding, _as_parent(), nullcontext() if function.__module__ == "__main__" else _no_main():
        child.start()
        _children.add(child)
    if _ending.is_set():  # in between
        child.kill()
    theirs.close()
    try:
        return _await(ours, child, time.monotonic() + timeout_s, stage)
    finally:
        _bury(child)
        ours.close()


def _bury(child: Any) -> None:
    """End a child, if it has not ended, and forget it."""
    if not connection.wait([child.sentinel], 0):
        child.kill()
        connection.wait([child.sentinel])
    with _minding:
        _children.discard(child)
        child.join()
        child.close()


def _join(child: Any) -> None:
    """Give a child some time to end by itself."""
    connection.wait([child.sentinel], GRACE_S)
    with _minding:
        child.join(0)


def begin() -> None:
    """Say that a flow run begins: stages may start, and what they log is shown in it."""
    _ending.clear()
    logs.show_in_runs()


def abort() -> None:
    """End all stages of this process that run in children; they are not tried again."""
    _ending.set()
    with _minding:
        for child in _children:
            if not connection.wait([child.sentinel], 0):
                child.kill()


def _await(ours: Any, child: Any, deadline: float, stage: str) -> Any:
    while True:
        if time.monotonic() > deadline:
            raise TimeoutError(f"stage {stage} passed its time limit")
        if not surroundings.is_wanted():
            raise StageAbortedError(f"stage {stage} was ended with its flow run")
        if not ours.poll(0.5):
            continue
        try:
            kind, value = ours.recv()
        except EOFError:
            _join(child)
            if _ending.is_set():
                raise StageAbortedError(f"stage {stage} was ended with its flow run") from None
            raise StageProcessDiedError(
                f"the process of stage {stage} ended with status {child.exitcode} and no result"
            ) from None
        if kind in _PASSED_ON:
            _PASSED_ON[kind](value)
            continue
        _join(child)  # it has sent its last word and tidies up
        if kind == "result":
            return value
        error, text = value
        error.add_note(text)
        raise error


def _serve(
    orchestrator: Any,
    target: tuple[str, str],
    arguments: dict[str, Any],
    stage: str,
    key: str | None,
    threads: int,
    parent: int,
    environment: dict[str, str],
) -> None:
    """Body of the child: run, send progress and what is logged, send the result or the error."""
    _die_with(parent)
    os.environ.clear()  # a fork server's children have its environment, which is that of the moment when it started
    os.environ.update(environment)
    sending = threading.Lock()

    def send(kind: str, value: Any) -> None:
        with sending:
            orchestrator.send((kind, value))

    progress.listen(lambda found: send("progress", found))
    logs.forward(lambda message: send("message", message))
    try:
        import importlib

        import torch

        torch.set_num_threads(threads)
        module = importlib.import_module(target[0])
        function = getattr(module, target[1])
        send("result", call(getattr(function, "body", function), arguments, stage, key))
    except BaseException as error:
        _send_error(send, error)


def call(function: Callable[..., Any], arguments: dict[str, Any], stage: str, key: str | None) -> Any:
    """Call a stage's function here, with its name and key set."""
    progress.enter(stage)
    before = _key.set(key)
    try:
        made = function(**arguments)
        progress.leave()
        return made
    finally:  # what runs here next is not this stage, and must not go on with what it kept
        _key.reset(before)


def _send_error(send: Callable[[str, Any], None], error: BaseException) -> None:
    text = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes; some errors can be written and not be read
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    send("error", (error, text))


def _die_with(parent: int) -> None:
    """End this process soon after its grandparent, the orchestrator, is gone (its own parent is the fork server)."""

    def watch() -> None:
        while True:
            time.sleep(0.5)
            try:
                os.kill(parent, 0)
            except ProcessLookupError:
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
