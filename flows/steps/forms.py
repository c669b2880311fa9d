"""A form that a person fills in in the Prefect UI, while the flow run waits.

The run of a deployment is suspended: its process ends when the stages that have begun are done, and the server has it
begin anew, and take what is done from the cache, once the form is sent. Prefect cannot suspend another run, which waits
in its process. Forms speak of what is to be forgotten: each is deleted from the server as soon as it is read, and when
its run ends otherwise; where no process is left to do that, by the next run of the same store.

    LETHE_HOME/forms/<flow run>     forms of it lie on a server
"""

import contextlib
import itertools
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect import get_client, get_run_logger
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound, Pause
from prefect.flow_runs import pause_flow_run, suspend_flow_run
from prefect.input import RunInput, read_flow_run_input
from prefect.input.run_input import keyset_from_base_key
from prefect.runtime import deployment, flow_run
from prefect.settings import get_current_settings
from pydantic import Field

from flows.steps import temporary_server
from flows.steps.prefect_ui import prefect_place
from tasks import store, tracking
from tasks.execution import progress
from tasks.removals import states
from tasks.settings.servers import ServersConfig
from tasks.tracking_server import without_secrets

ROOM = "forms"
WAIT_S = 7 * 24 * 3600
"""How long a run waits for a person."""
POLL_S = 2
CANCELLED = "ended by a person in the review; nothing was made"


class Cancellable(RunInput):
    """A form that can end the run."""

    cancel: bool = Field(default=False, title="End the run; nothing is made, and no row below is read")


Form = TypeVar("Form", bound=Cancellable)


class EndedByPersonError(BaseException):
    """A person wants no run; as with Ctrl-C, nothing has failed, and nothing is tried again."""


def require_server() -> None:
    """Refuse a review that no browser could reach.

    Raises:
        ValueError: If the flow would run on a temporary server.
    """
    address = get_current_settings().api.url
    if not address or temporary_server.is_temporary(address):
        raise ValueError(
            "--review needs a Prefect server that stays up; found none: start one with `lethe up`, or set"
            f" PREFECT_API_URL={ServersConfig().prefect_api}"
        )


@contextlib.contextmanager
def answered(form: type[Form], stage: str) -> Iterator[Form]:
    """Wait until a person has sent a form, and lend what they sent; it is on the server until the block ends.

    Args:
        form: With initial values; equal ones, where the run is begun anew.
        stage: What the form is about. A run may ask several times about one thing.

    Raises:
        EndedByPersonError: If the person ends the run.
        prefect.exceptions.FlowPauseTimeout: If nobody came in time.
        prefect.exceptions.Pause: If the run is suspended; its process is to end.
    """
    run = flow_run.id
    with get_client(sync_client=True) as server:
        key, sent = _next(server, UUID(run), stage.replace(" ", "-"))
        try:
            read = form.model_validate(sent) if sent is not None else _wait(form, stage, key)
            if read.cancel:
                raise EndedByPersonError(CANCELLED)
            yield read
        except Pause:
            raise
        except BaseException:
            _delete(server, run)
            raise
        _delete(server, run)


def _next(server: SyncPrefectClient, run: UUID, name: str) -> tuple[str, Any]:
    """Return the key of the form to show, and what was sent back where it was shown before this run was begun anew:
    a key is used once.
    """
    used = server.read_flow_run(run).empirical_policy.pause_keys or set()
    for number in itertools.count(1):
        key = f"{name}-{number}"
        if key not in used:
            return key, None
        if (sent := _sent(server, run, key)) is not None:
            return key, sent
    raise AssertionError  # there is always another number


def _sent(server: SyncPrefectClient, run: UUID, key: str) -> Any:
    """Return what was sent back of a form, or None where nothing was, or it is read and deleted. Of one that was sent
    as it stood Prefect keeps no answer: it is there still, and its run was resumed, which one that is only tried
    again was not.
    """
    inputs = keyset_from_base_key(f"{'suspended' if _is_suspended() else 'paused'}-{key}")
    sent = read_flow_run_input(inputs["response"], flow_run_id=run)
    if sent is not None or read_flow_run_input(inputs["schema"], flow_run_id=run) is None:
        return sent
    states = sorted(server.read_flow_run_states(run), key=lambda state: state.timestamp)
    after = [then.name for state, then in itertools.pairwise(states) if state.state_details.pause_key == key]
    return {} if after == ["Resuming"] else None


def _is_suspended() -> bool:
    return deployment.id is not None


def _wait(form: type[Form], stage: str, key: str) -> Form:
    """Show a form; return what comes back, or end this process' part of the run."""
    place = prefect_place(str(flow_run.id), str(flow_run.name))
    if _is_suspended():
        _announce(stage, place, "its process ends now, and the run goes on when the form is sent")
        _note(None)
        return suspend_flow_run(wait_for_input=form, timeout=WAIT_S, key=key)
    _announce(stage, place, "this process waits with it")
    _note(os.getpid())
    return pause_flow_run(wait_for_input=form, timeout=WAIT_S, poll_interval=POLL_S, key=key)


def _announce(stage: str, place: str, meanwhile: str) -> None:
    """Say where a person is waited for, and what becomes of the process."""
    get_run_logger().info("The %s waits for a person at %s; %s", stage, place, meanwhile)
    progress.publish(progress.Progress(stage=stage, done=0, total=1, note=f"waits for a person at {place}"))


def done(stage: str) -> None:
    """Say that nobody is waited for any more."""
    progress.publish(progress.Progress(stage=stage, done=1, total=1))


def _delete(server: SyncPrefectClient, run: str) -> None:
    """Delete all forms of a run, and what was sent back."""
    for mark in ("paused-", "suspended-"):
        for found in server.filter_flow_run_input(UUID(run), key_prefix=mark, limit=200, exclude_keys=set()):
            server.delete_flow_run_input(UUID(run), found.key)
    (store.home() / ROOM / run).unlink(missing_ok=True)


def _note(process: int | None) -> None:
    """Remember that a form of this run lies on its server, and which process waits for it."""
    room = store.home() / ROOM
    room.mkdir(mode=0o700, exist_ok=True)
    note = {"server": _server(), "host": socket.gethostname(), "process": process}
    (room / str(flow_run.id)).write_text(json.dumps(note), encoding="utf-8")


def _server() -> str:
    return without_secrets(get_current_settings().api.url or "")


def clear_ended() -> None:
    """Delete the forms of runs that have ended, or whose process was killed, while nobody could do it, and end what
    was tracked of them; a removal request is again what it was before. A server that cannot be reached keeps them until
    the next time.
    """
    for note in sorted((store.home() / ROOM).glob("*")):
        kept = store.read_manifest(note)
        if kept.get("server") == _server() and note.name != str(flow_run.id):
            with contextlib.suppress(httpx.TransportError):
                _clear(note, has_died=_has_died(kept))


def _has_died(kept: dict[str, Any]) -> bool:
    """Return whether a process of this machine waited for a form, and was killed."""
    process = kept.get("process")
    return process is not None and kept.get("host") == socket.gethostname() and not store.alive(process)


def _clear(note: Path, *, has_died: bool) -> None:
    with get_client(sync_client=True) as server:
        try:
            state = server.read_flow_run(UUID(note.name)).state
        except ObjectNotFound:  # and with it its forms
            note.unlink(missing_ok=True)
            return
        if has_died or (state and state.is_final()):
            _delete(server, note.name)
            if run := tracking.end_suspended(note.name):
                states.stop_for(run)
