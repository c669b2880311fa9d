"""Claims: a flow run whose process was killed while its server takes it to be under way has crashed, or is cancelled
where somebody wanted that, and lets go of its deployment's slot; one that lives, has just begun to go on elsewhere, has
ended, waits, or is another server's stays as it is.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect import flow, get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.states import Cancelling, Completed, Pending, Running, Suspended

from flows.steps import dead_flow_runs, flow_runs, judging
from flows.steps.dead_flow_runs import end_dead
from tasks import store, tracking_leases
from tests.stand_ins.small_flow import small

HELD = "import time; from tasks import tracking_leases; print(tracking_leases.holder(), flush=True); time.sleep(99)"


@flow(name="works")
def work() -> None:
    """Stand for a run."""


@pytest.fixture
def server(flow_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncPrefectClient]:
    monkeypatch.setattr(dead_flow_runs, "BEGUN_S", 0.0)
    tracking_leases.holder.cache_clear()  # its lock lies in the store that it was first asked in
    with get_client(sync_client=True) as client:
        yield client
    tracking_leases.holder.cache_clear()


@pytest.fixture
def killed(server: SyncPrefectClient) -> str:
    """What a process that was killed said of itself."""
    with subprocess.Popen([sys.executable, "-c", HELD], stdout=subprocess.PIPE, text=True) as process:
        said = process.stdout.readline().strip()
        assert tracking_leases.lives(said)
        process.kill()
    return said


def noted(run: UUID, holder: str, **changes: object) -> Path:
    room = store.home() / flow_runs.ROOM
    room.mkdir(exist_ok=True)
    note = flow_runs._place() | {"created": 1.0, "keep_until": 2.0, flow_runs.HOLDER: holder, **changes}
    (room / str(run)).write_text(json.dumps(note))
    return room / str(run)


def in_state(server: SyncPrefectClient, state: object) -> UUID:
    run = server.create_flow_run(work).id
    server.set_flow_run_state(run, state, force=True)
    return run


@pytest.mark.parametrize(("state", "ended"), [(Running(), "Crashed"), (Cancelling(), "Cancelled")])
def test_one_that_was_killed_has_ended(server: SyncPrefectClient, killed: str, state: object, ended: str) -> None:
    run = in_state(server, state)
    note = noted(run, killed)
    assert end_dead() == [str(run)]
    found = server.read_flow_run(run).state
    assert (found.name, found.message) == (ended, "Its process was killed")
    assert end_dead() == []
    assert flow_runs.HOLDER not in store.read_manifest(note), "nobody asks about it again"
    assert store.read_manifest(note)["keep_until"] == 2.0


def test_others_stay_as_they_are(server: SyncPrefectClient, killed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    living, elsewhere, unknown = (in_state(server, Running()) for _ in range(3))
    noted(living, tracking_leases.holder())
    noted(elsewhere, killed, server="http://another/api")
    noted(unknown, f"{killed.split()[0]} 1")  # as in a copy of a store
    done, waiting = in_state(server, Completed()), in_state(server, Suspended())
    for run in (done, waiting, uuid4()):
        noted(run, killed)
    assert end_dead() == []
    states = [server.read_flow_run(run).state.name for run in (living, elsewhere, unknown, done, waiting)]
    assert states == ["Running", "Running", "Running", "Completed", "Suspended"]
    monkeypatch.setattr(dead_flow_runs, "BEGUN_S", 60.0)
    noted(just_begun := in_state(server, Running()), killed)
    assert end_dead() == []
    assert server.read_flow_run(just_begun).state.is_running()


def test_it_lets_go_of_its_deployments_slot(server: SyncPrefectClient, killed: str) -> None:
    deployment = server.create_deployment(server.create_flow(work), f"one at a time {uuid4()}", concurrency_limit=1)
    first, second = (server.create_flow_run_from_deployment(deployment).id for _ in range(2))
    for state in (Pending(), Running()):
        server.set_flow_run_state(first, state)
    noted(first, killed)
    server.set_flow_run_state(second, Pending())
    assert server.read_flow_run(second).state.name == "AwaitingConcurrencySlot"
    assert end_dead() == [str(first)]
    server.set_flow_run_state(second, Pending())
    assert server.read_flow_run(second).state.is_pending()


def test_a_run_that_goes_on_in_another_process_is_that_ones(server: SyncPrefectClient, killed: str) -> None:
    run = server.create_flow_run(work)
    note = noted(run.id, killed)
    flow_runs.note(work, run, Running())
    kept = store.read_manifest(note)
    assert (kept[flow_runs.HOLDER], kept["keep_until"]) == (tracking_leases.holder(), 2.0)


def test_every_tracked_run_looks_for_them(flow_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[bool] = []
    monkeypatch.setattr(judging, "end_dead", lambda: looked.append(True))
    small(str(tmp_path), "hello", 0.0, False)
    assert looked == [True]
