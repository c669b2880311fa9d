"""How flows are declared: Prefect keeps of them what forgets nothing, and the store remembers where their runs are.

A Prefect server keeps the parameters of every run for good, and what failed with which words. What a person asks for is
told to it as a reference, from which nothing can be read; and every run is noted in the store, for `purge` to delete it
on the server that has it. A run of a deployment has the parameters that its user wrote there; it is noted like others.
"""

import functools
import json
import time
from collections.abc import Callable
from dataclasses import is_dataclass
from inspect import signature
from typing import Any, Literal, ParamSpec, TypeVar, get_origin

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.settings import get_current_settings
from prefect.states import Cancelled

from flows.steps import temporary_server
from flows.steps.forms import EndedByPersonError
from tasks import store
from tasks.execution import serving
from tasks.storage.plain_files import write_json
from tasks.tracking_server import without_secrets

P = ParamSpec("P")
R = TypeVar("R")
ROOM = "flow-runs"
"""Folder of LETHE_HOME with a file for each flow run."""


class PrivateFlow(Flow[P, R]):
    """A flow of whose parameters Prefect keeps settings, numbers and choices, and references in place of all else."""

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
    hooks = {"on_running": [note], "on_failure": [note]}
    return lambda function: PrivateFlow(_endable(function), name=name, **hooks, **options)


def _endable(function: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(function)
    def endable(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            return function(*args, **kwargs)
        except EndedByPersonError as ended:
            return Cancelled(message=str(ended))

    return endable


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
    if (room / str(run.id)).exists():
        return
    room.mkdir(mode=0o700, exist_ok=True)
    temporary = room / f".{run.id}.tmp"
    write_json(temporary, _place() | {"store": mark(), "created": now, "keep_until": now + store.retention_s()})
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
