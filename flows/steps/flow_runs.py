"""How flows are declared: Prefect keeps of them what forgets nothing, and the store remembers where their runs are.

A Prefect server keeps the parameters of every run for good, and what failed with which words. What a person asks for is
told to it as a reference, from which nothing can be read; and every run is noted in the store, for `purge` to delete it
on the server that has it. A run of a deployment has the parameters that its user wrote there; it is noted like others.

Every flow has one parameter more than its function: `runner`, where its stages run.
"""

import functools
import json
import time
from collections.abc import Callable
from dataclasses import is_dataclass
from importlib import import_module
from inspect import Parameter, signature
from typing import Any, Literal, ParamSpec, TypeVar, get_origin

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.settings import get_current_settings
from prefect.states import Cancelled
from prefect.utilities.callables import parameter_schema

from flows.steps import runners, temporary_server
from flows.steps.forms import EndedByPersonError
from tasks import store
from tasks.execution import serving
from tasks.settings.runner import RunnerConfig
from tasks.storage.plain_files import write_json
from tasks.tracking_leases import holder
from tasks.tracking_server import without_secrets

P = ParamSpec("P")
R = TypeVar("R")
ROOM = "flow-runs"
"""Folder of LETHE_HOME with a file for each flow run."""
HOLDER = "holder"
"""What its note says of the process that runs it, as of `tracking_leases.holder`."""
GAP, ARGS = "\n\n", "    Args:\n"
"""What stands in a docstring before its parameters."""


class PrivateFlow(Flow[P, R]):
    """A flow of whose parameters Prefect keeps settings, numbers and choices, and references in place of all else, and
    whose stages run where its parameter `runner` says.
    """

    def __init__(self, fn: Callable[P, R], **options: Any) -> None:
        """Declare it; options as `prefect.flow` takes them."""
        super().__init__(fn, **options)
        self.fn = _with_runner(fn)
        functools.update_wrapper(self, self.fn)  # the form of a deployment is made of the flow's own signature
        self.parameters = parameter_schema(self.fn)

    def __reduce__(self) -> tuple[Any, ...]:
        return _declared, (self.fn.__module__, self.fn.__qualname__)

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return what Prefect keeps of the parameters of a run."""
        types = {name: found.annotation for name, found in signature(self.fn).parameters.items()}
        return {
            name: value if _is_neutral(parameters[name], types[name]) else _reference(value)
            for name, value in super().serialize_parameters(parameters).items()
        }


def flow(name: str, **options: Any) -> Callable[[Callable[P, R]], PrivateFlow[P, R]]:
    """Declare a flow; its run is cancelled where a person ends it in a form.

    Args:
        name: What Prefect calls it.
        options: As `prefect.flow` takes them.
    """
    # one whose parameters are refused fails without having run
    hooks, local = {"on_running": [note], "on_failure": [note]}, runners.task_runner(RunnerConfig())
    return lambda function: PrivateFlow(_endable(function), name=name, task_runner=local, **hooks, **options)


def _endable(function: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(function)
    def endable(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            return function(*args, **kwargs)
        except EndedByPersonError as ended:
            return Cancelled(message=str(ended))

    return endable


def _with_runner(function: Callable[P, R]) -> Callable[..., R]:
    """Return a flow's function with one parameter more, which says where its stages run."""
    found = signature(function)
    if "runner" in found.parameters:  # a flow with other options is made of one that has it
        return function

    @functools.wraps(function)
    def on_runner(*args: Any, runner: RunnerConfig = RunnerConfig(), **kwargs: Any) -> R:
        with runners.submitting(runners.settled(runner)):
            return function(*args, **kwargs)

    own = Parameter("runner", Parameter.KEYWORD_ONLY, default=RunnerConfig(), annotation=RunnerConfig)
    on_runner.__signature__ = found.replace(parameters=[*found.parameters.values(), own])
    on_runner.__annotations__ = {**function.__annotations__, "runner": RunnerConfig}
    head, args, rest = (function.__doc__ or "").partition(ARGS)
    on_runner.__doc__ = f"{head}{args or GAP + ARGS}        runner: Where the stages run.\n{rest}"
    return on_runner


def _declared(module: str, name: str) -> Any:
    return getattr(import_module(module), name)


def _is_neutral(value: Any, wanted: Any) -> bool:
    """Return whether a parameter says nothing of what is to be forgotten: settings are public, as in MLflow."""
    settings = is_dataclass(value) and type(value).__name__.endswith("Config")
    return settings or value is None or isinstance(value, (bool, int, float)) or get_origin(wanted) is Literal


def _reference(value: Any) -> str:
    """Return what is the same for the same value, and tells nothing to whoever does not have this store."""
    return f"reference {store.keyed(json.dumps(value, sort_keys=True))[:16]}"


def note(begun: Flow[..., Any], run: FlowRun, state: State[Any]) -> None:
    """Remember where a flow run is kept, and for how long; Prefect calls this when it begins to run."""
    room, now = store.home() / ROOM, time.time()
    room.mkdir(mode=0o700, exist_ok=True)
    new = _place() | {"store": mark(), "created": now, "keep_until": now + store.retention_s()}
    # of one that goes on in another process, that is its holder from now on
    known = (store.read_manifest(room / str(run.id)) or new) | {HOLDER: holder()}
    temporary = room / f".{run.id}.tmp"
    write_json(temporary, known)
    temporary.replace(room / str(run.id))


def mark() -> int:
    """Return a number by which a store is told from its copies, which have its notes too: that of its folder."""
    return store.home().stat().st_ino


def _place() -> dict[str, str]:
    """Return the server that keeps this process' flow runs, or the database of a temporary one; of `lethe up` both,
    since its servers may be down when the run is purged. Without passwords.
    """
    settings = get_current_settings()
    address, url = settings.api.url, settings.server.database.connection_url
    database = without_secrets(url.get_secret_value() if url else "")
    if not address or temporary_server.is_temporary(address):
        return {"server": database}
    place = {"server": without_secrets(address)}
    return place | {"database": database} if serving.is_own(address) else place
