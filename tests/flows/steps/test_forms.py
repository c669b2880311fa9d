"""Claims: a form whose run has ended, or whose process was killed, is deleted from its server by the next run of the
store, what was tracked of the run ends, and a removal request is as it was before; the form of a run that still waits
stays, as do those of other servers; a run from the terminal says that its process waits.
"""

import json
import os
import socket
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from prefect import flow, get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import Pause
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelled, Paused, Running, Scheduled, Suspended

from flows.steps import forms
from flows.steps.prefect_ui import prefect_place
from flows.steps.removals import work_on
from tasks import tracking
from tasks.artifacts import BadInputError
from tasks.execution import progress
from tasks.execution.progress import Progress
from tasks.removals import states
from tasks.removals.register import find
from tasks.tracking_leases import requests_that_wait
from tests.stand_ins.removals import received


@flow(name="waits")
def wait() -> None:
    """Stand for a run."""


def with_form(api: SyncPrefectClient, state: object, **note: object) -> UUID:
    """Make a run in a state, with a form on the server, and note it."""
    run = api.create_flow_run(wait).id
    api.set_flow_run_state(run, state, force=True)
    for part in ("schema", "response"):
        api.create_flow_run_input(run, f"suspended-review-1-{part}", json.dumps("Velmora"))
    room = forms.store.home() / forms.ROOM
    room.mkdir(exist_ok=True)
    (room / str(run)).write_text(json.dumps({"server": forms._server(), "process": None, **note}))
    return run


def tracked(run: UUID) -> str:
    tracked_run = tracking.open_run("a run", {}, {tracking.FLOW_RUN: str(run)})
    tracking.suspend(tracked_run)
    return tracked_run


def dead_process() -> int:
    return next(number for number in range(40_000, 60_000) if not psutil.pid_exists(number))


def test_forms_that_nobody_will_read_are_deleted(flow_home: Path) -> None:
    here = {"host": socket.gethostname()}
    with get_client(sync_client=True) as server:
        ended = with_form(server, Cancelled())
        killed = with_form(server, Paused(), **here, process=dead_process())
        waiting = [
            with_form(server, Paused(), **here),
            with_form(server, Paused(), **here, process=os.getpid()),
            with_form(server, Paused(), host="another", process=dead_process()),
        ]
        elsewhere = with_form(server, Cancelled(), server="http://another/api")
        given_up, open_still = tracked(ended), tracked(waiting[0])
        forms.clear_ended()
        left = {
            run: len(server.filter_flow_run_input(run, key_prefix="", limit=10, exclude_keys=set()))
            for run in (ended, killed, *waiting, elsewhere)
        }
        assert left == {ended: 0, killed: 0, **dict.fromkeys(waiting, 2), elsewhere: 2}
        server.delete_flow_run(waiting[0])
        forms.clear_ended()
    assert {file.name for file in (flow_home / forms.ROOM).iterdir()} == {*map(str, waiting[1:]), str(elsewhere)}
    states = [tracking.client().get_run(run).info.status for run in (given_up, open_still)]
    assert states == ["KILLED", "SCHEDULED"]


def test_a_request_whose_suspended_run_is_cancelled_is_what_it_was_and_can_be_begun_again(
    flow_home: Path, tmp_path: Path
) -> None:
    removal = received(tmp_path, "text")
    with get_client(sync_client=True) as server:
        run = with_form(server, Suspended())
        with pytest.raises(Pause), work_on(removal) as work:
            work.begin(tracking.open_run("a run", {}, {tracking.FLOW_RUN: str(run), tracking.REQUEST: removal.id}))
            tracking.suspend(work.run)
            raise Pause
        assert requests_that_wait() == {removal.id: str(run)}
        with pytest.raises(BadInputError, match=rf"waits for a person, flow run {run} in Prefect"), work_on(removal):
            pass
        with pytest.raises(BadInputError, match="waits for a person"):
            states.cancel(removal.id)
        server.set_flow_run_state(run, Cancelled(), force=True)
    with work_on(removal):
        assert (find(removal.id).state, find(removal.id).history[-1].words) == ("received", "stopped")
    assert tracking.client().get_run(work.run).info.status == "KILLED"
    assert requests_that_wait() == {}


def test_a_form_on_a_server_that_cannot_be_reached_stays(flow_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with get_client(sync_client=True) as server:
        run = with_form(server, Cancelled(), server="http://127.0.0.1:1/api")
    monkeypatch.setattr(forms, "_server", lambda: "http://127.0.0.1:1/api")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api", PREFECT_CLIENT_MAX_RETRIES: 0}):
        forms.clear_ended()
    assert (flow_home / forms.ROOM / str(run)).is_file()


@pytest.mark.parametrize(
    ("after", "left", "found"),
    [
        (Scheduled(name="Resuming"), True, ("review-1", {})),
        (Scheduled(name="AwaitingRetry"), True, ("review-2", None)),
        (Scheduled(name="Resuming"), False, ("review-2", None)),
    ],
    ids="sent as it stood;tried again since nobody came;read and deleted".split(";"),
)
def test_a_run_that_is_begun_anew_finds_what_was_sent(
    after: object, left: bool, found: tuple[str, object], flow_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "_is_suspended", lambda: True)
    with get_client(sync_client=True) as server:
        run = server.create_flow_run(wait)
        for state in (Running(), Suspended(pause_key="review-1"), after):
            server.set_flow_run_state(run.id, state, force=True)
        policy = server.read_flow_run(run.id).empirical_policy.model_copy(update={"pause_keys": {"review-1"}})
        server.update_flow_run(run.id, empirical_policy=policy)
        if left:
            server.create_flow_run_input(run.id, "suspended-review-1-schema", json.dumps({}))
        assert forms._next(server, run.id, "review") == found


class Shown(forms.Cancellable):
    name: str = "Velmora"


def test_a_run_from_the_terminal_says_where_it_waits_and_that_it_does(
    flow_home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Progress] = []
    monkeypatch.setattr(forms, "pause_flow_run", lambda wait_for_input, **named: wait_for_input())
    places = []

    @flow(name="asks")
    def ask() -> str:
        places.append(prefect_place(flow_run.id, flow_run.name))
        with forms.answered(Shown, "a look") as sent:
            assert (flow_home / forms.ROOM / flow_run.id).is_file()
            return sent.name

    stop = progress.listen(told.append)
    with caplog.at_level("INFO", logger="prefect.flow_runs"):
        assert ask() == "Velmora"
    stop()
    assert [one.note for one in told] == [f"waits for a person at {places[0]}"]
    assert f"The a look waits for a person at {places[0]}; this process waits with it" in caplog.text
    assert list((flow_home / forms.ROOM).iterdir()) == []
