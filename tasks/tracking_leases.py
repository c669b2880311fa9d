"""Leases on runs: the run of a process that was killed can be told from one that goes on, on whatever host or in
whatever container either is.

    lethe.lease     tag of a run: until when it is held, seconds of the epoch, and by whom

A daemon thread renews a run's lease while its process lives; where MLflow is away it tries again later, and nobody
waits for it. Who holds runs is a name of the process' own, whose lock in the store the kernel frees when the process
dies: in the same store its end is seen at once, from anywhere else when the lease has expired.
"""

import contextlib
import functools
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from tasks import store
from tasks.execution import upkeep
from tasks.tracking_server import client, client_of, experiment_id, tracking_uri

LEASE = "lethe.lease"
FLOW_RUN = "lethe.prefect_flow_run"
"""Tag of a parent run: its flow run in Prefect."""
REQUEST = "lethe.request"
"""Tag of a parent run: the removal request that it is made for."""
RENEWED_S = 30.0
"""Seconds between two renewals."""
UNLEASED_S = 86_400.0
"""Seconds for which a run without a lease counts as held: that of an earlier version, which may still go on."""
LEASE_S = 240.0
"""Seconds that a lease holds: a server that is started anew keeps several renewals from it."""
SKEW_S = 60.0
"""Seconds that the clocks of two hosts may differ by: a lease counts as expired so much later."""
_held: dict[str, threading.Event] = {}
"""Runs of this process -> what ends the renewal."""


def new_lease() -> str:
    """Return a lease from now on, held by this process, as a tag's value."""
    return f"{time.time() + LEASE_S:.0f} {holder()}"


@functools.cache
def holder() -> str:
    """Return this process' name and the number of its lock's file, and hold the lock until the process ends, however it
    does.
    """
    name = uuid.uuid4().hex
    _locks.enter_context(store.lock(_key(name)))
    return f"{name} {_file(name).stat().st_ino}"


_locks = contextlib.ExitStack()


def _key(holder: str) -> str:
    return f"holder-{holder}"


def _file(holder: str) -> Path:
    return store.home() / "locks" / f"{_key(holder)}.lock"


def lives(holder: str) -> bool | None:
    """Return whether a process lives, by what `holder` returned in it; None where this store does not know: its lock is
    not there, or another file, as in a copy.
    """
    name, number = (*holder.split(), "", "")[:2]
    file = _file(name)
    known = name.isalnum() and file.is_file() and str(file.stat().st_ino) == number
    return upkeep.held(_key(name)) if known else None


def is_held(tags: Mapping[str, str], started: float, now: float | None = None) -> bool:
    """Return whether the process that began a run lives: as the store knows, else as far as its lease says.

    Args:
        tags: The run's.
        started: When it began, seconds of the epoch.
        now: Seconds of the epoch; None: as the clock says.
    """
    until, _, by = tags.get(LEASE, "").partition(" ")
    if (living := lives(by)) is not None:
        return living
    expires = float(until) if until.isdecimal() else started + UNLEASED_S
    return (time.time() if now is None else now) < expires + SKEW_S


def has_lease(tags: Mapping[str, str]) -> bool:
    """Return whether a run is held by itself; a stage's is as long as the run that it is nested in."""
    return LEASE in tags or "mlflow.parentRunId" not in tags


def hold(run: str) -> None:
    """Renew a run's lease from now on, until it is released or this process ends."""
    ended = _held[run] = threading.Event()
    renewing = threading.Thread(target=_renew, args=(run, tracking_uri(), ended), name="lethe-lease", daemon=True)
    renewing.start()


def release(run: str) -> None:
    """Renew a run's lease no longer; of a run that this process does not hold, nothing is done."""
    if ended := _held.pop(run, None):
        ended.set()


def _renew(run: str, uri: str, ended: threading.Event) -> None:
    while not ended.wait(RENEWED_S):
        with contextlib.suppress(Exception):  # the server may be back next time; who needs it now finds out by itself
            client_of(uri).set_tag(run, LEASE, new_lease())


def suspend(run: str) -> None:
    """Let a run wait for its flow run, whose process ends and which goes on in another one: it is not running, and
    nobody holds it.
    """
    release(run)
    client().update_run(run, status="SCHEDULED")


def suspended_run(flow_run: str) -> str | None:
    """Return the parent run that waits for a flow run in Prefect, or None."""
    api = client()
    query = f"tags.`{FLOW_RUN}` = '{flow_run}' and attributes.status = 'SCHEDULED'"
    found = api.search_runs([experiment_id(api)], query, max_results=1) if flow_run else []
    return found[0].info.run_id if found else None


def requests_that_wait() -> dict[str, str]:
    """Return removal request -> flow run in Prefect, for every request whose run waits, suspended, for a person."""
    api, query = client(), f"tags.`{REQUEST}` LIKE 'R-%' and attributes.status = 'SCHEDULED'"
    found = api.search_runs([experiment_id(api)], query)
    return {run.data.tags[REQUEST]: run.data.tags.get(FLOW_RUN, "") for run in found}
