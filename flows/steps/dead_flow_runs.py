"""Flow runs that were killed together with everything that could have said so, as when a machine loses its power:
Prefect would show them as running for good, and keep the slot of their deployment from the next one.

A flow run's note says which process holds it. One whose process has ended, and which its server takes to be under way,
has crashed, or, where somebody wanted that, is cancelled.
"""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect.states import Cancelled, Crashed

from flows.steps.flow_run_purge import flow_run_notes
from flows.steps.flow_runs import HOLDER
from tasks import store, tracking_leases
from tasks.storage.plain_files import write_json
from tasks.tracking_server import without_secrets

KILLED = "Its process was killed"
BEGUN_S = 30.0
"""Seconds within which one that goes on in another process has said so in its note."""


def end_dead() -> list[str]:
    """Say on the server that is set of this store's flow runs which of them have ended; return their ids."""
    dead = dict(_dead(without_secrets(get_current_settings().api.url or "")))
    if not dead:
        return []
    with get_client(sync_client=True) as server:
        return [note.name for note, kept in dead.items() if _end(server, note, kept)]


def _dead(server: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the notes of flow runs on a server whose process has ended, with what stands in them."""
    for note in flow_run_notes():
        kept = store.read_manifest(note)
        if kept.get("server") == server and tracking_leases.lives(str(kept.get(HOLDER, ""))) is False:
            yield note, kept


def _end(server: SyncPrefectClient, note: Path, kept: dict[str, Any]) -> bool:
    """Say that a flow run has ended where nobody has, and return whether that was so; else it is not asked about again,
    unless it has just begun to go on.
    """
    run = UUID(note.name)
    with contextlib.suppress(ObjectNotFound):
        state = server.read_flow_run(run).state
        if state and (state.is_running() or state.is_cancelling()):
            if (datetime.now(UTC) - state.timestamp).total_seconds() < BEGUN_S:
                return False
            ended = Cancelled if state.is_cancelling() else Crashed
            server.set_flow_run_state(run, ended(message=KILLED))
            return True
    write_json(note, {name: value for name, value in kept.items() if name != HOLDER})
    return False
