"""The one way to declare a stage: a Prefect task with a cache key, a lock, retries on transient errors and a process of
its own.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NoReturn, ParamSpec, TypeVar

from prefect import Task
from prefect.context import TaskRunContext
from prefect.results import ResultStore
from prefect.tasks import exponential_backoff
from prefect.transactions import IsolationLevel, get_transaction

from tasks import store
from tasks.execution import isolation, logs, surroundings
from tasks.execution.cache_keys import StagePolicy, kept_record, stage_key
from tasks.execution.locks import StageLocks
from tasks.execution.surroundings import Surroundings

P = ParamSpec("P")
R = TypeVar("R")
LOCKS = StageLocks()
TRANSIENT = (OSError, TimeoutError, MemoryError, isolation.StageProcessDiedError)
"""Errors that may pass by themselves; bad input and numbers that are not finite never do."""
FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


def is_transient(error: BaseException) -> bool:
    """Return whether it makes sense to try again after this error."""
    name = type(error).__name__
    return (isinstance(error, TRANSIENT) and not isinstance(error, FINAL)) or name in (
        "OutOfMemoryError",
        "MlflowException",
        "DamagedArtifactError",
    )


def _should_retry(task: Task[Any, Any], run: Any, state: Any) -> bool:
    error = state.result(raise_on_failure=False)
    return isinstance(error, BaseException) and is_transient(error)


def _lookup(function: Callable[..., Any], numeric: bool, *args: Any, **kwargs: Any) -> Any:
    """Return the record that a stage called so has in the cache, or None; nothing is computed."""
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    results, key = ResultStore(), stage_key(function, bound.arguments, numeric=numeric)
    return kept_record(function, results, key) if results.exists(key) else None


def _title(name: str, parameters: Mapping[str, Any]) -> str:
    """Return what a stage's run is called: its name and, where it looks at one of several models, that
    model's label.
    """
    return f"{name} {parameters.get('label', '')}".rstrip()


def _refuse_without_key(title: str) -> NoReturn:
    """Say why a stage has no key: Prefect, which asks for it, keeps that in the log, and a worker's is far away."""
    context = TaskRunContext.get()
    surroundings.take_up(getattr(context and context.task, "sent", None))
    raise RuntimeError(f"stage {title} has no cache key, so that its result could not be found again")


class Stage(Task[P, R]):
    """A stage's task. To a worker of a cluster it goes by its name and with what it needs there; the code that it runs
    there, and is keyed by, is the worker's.
    """

    body: Callable[..., Any]
    """Its function."""
    lookup: Callable[..., Any]
    """Returns the record that a call has in the cache, or None."""
    sent: Surroundings | None = None
    """What it needs on a worker; None where its flow runs."""

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        """Submit a call to the flow's task runner."""
        sent = surroundings.sending()
        return Task.submit(_arrived(*self._place(), sent) if sent else self, *args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (*self._place(), self.sent)

    def _place(self) -> tuple[str, str]:
        return self.fn.__module__, self.fn.__qualname__


def _arrived(module: str, name: str, sent: Surroundings | None) -> Stage[..., Any]:
    """Return the stage that is declared under a name, with what it was sent with."""
    declared = getattr(import_module(module), name)
    if sent is None:
        return declared
    arrived = object.__new__(Stage)
    arrived.__dict__ |= declared.__dict__ | {"sent": sent}
    return arrived


def stage(
    name: str, *, isolated: bool = True, threads_share: int = 1, retries: int = 2, timeout_s: float = 6 * 3600
) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Declare a stage. Import what it computes with inside its functions: a flow that finds its record in the cache
    loads the module all the same.

    Args:
        name: The stage's name in flows, runs and progress.
        isolated: Run in a process of its own; for everything that computes with torch.
        threads_share: How many of its kind run side by side: each takes that fraction of the cores.
        retries: Further tries after a transient error, with exponential backoff.
        timeout_s: Seconds after which the process of an isolated one is stopped.

    Returns:
        A decorator that makes a cached Prefect task. Its results are small records, persisted as JSON.
    """

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        @functools.wraps(function)
        def body(*args: P.args, **kwargs: P.kwargs) -> R:
            logs.show_in_runs()  # a worker of a cluster has begun no flow
            arguments = inspect.signature(function).bind(*args, **kwargs).arguments
            transaction = get_transaction()
            key = transaction.key if transaction else None
            title = _title(name, arguments)
            if transaction and key is None:  # Prefect would go on without cache, lock and resume
                _refuse_without_key(title)
            if not isolated:
                return isolation.call(function, dict(arguments), title, key)
            threads = max(1, isolation.cores() // threads_share)
            record = isolation.run_isolated(
                function, dict(arguments), stage=title, key=key, threads=threads, timeout_s=timeout_s
            )
            if key:
                store.drop_workspace(key)
            return record

        declared = Stage(
            body,
            name=name,
            task_run_name=functools.partial(_title, name),
            # no tags: the engine asks the server for a concurrency slot a tag, half a second for every stage
            cache_policy=StagePolicy(
                function=function, numeric=isolated, isolation_level=IsolationLevel.SERIALIZABLE, lock_manager=LOCKS
            ),
            persist_result=True,
            result_serializer="json",
            retries=retries,
            retry_delay_seconds=exponential_backoff(2),
            retry_jitter_factor=0.5,
            retry_condition_fn=_should_retry,
            # no timeout of Prefect's: it cannot interrupt a thread, and says so in five lines a stage
        )
        declared.body = function
        declared.lookup = functools.partial(_lookup, function, isolated)
        return declared

    return decorate
