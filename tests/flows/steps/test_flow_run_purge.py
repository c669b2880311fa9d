"""Claims: purge deletes a store's flow runs, with logs, artifacts and errors, from servers and from databases of
temporary ones, where nothing is left in free pages, log and events; others' runs stay; with --expired those that have
outlived their time; a server that cannot be reached is named, and asked again.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prefect import get_client, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run

from flows.steps import flow_run_purge, flow_runs
from flows.steps.flow_run_purge import PurgedFlowRuns, purge_flow_runs
from flows.steps.flow_runs import flow
from tests.stand_ins.command import ROOT, environment
from tests.stand_ins.leaks import Searcher
from tests.stand_ins.servers import free_port

WORD = "Velmorandis"
FAIL = """
from flows.terminal import environment
environment.prepare()
from flows.steps import temporary_server
temporary_server.require()
from tests.flows.steps.test_flow_run_purge import fail
try:
    fail()
except OSError:
    print("failed")
"""


@flow(name="fail-with-a-word", log_prints=False)
def fail() -> None:
    """Leave a word in a log, an artifact and an error."""
    get_run_logger().warning(f"reading {WORD}.txt")
    create_markdown_artifact(key="note", markdown=WORD)
    raise OSError(f"{WORD}.txt cannot be read ({flow_run.id})")


def failed() -> str:
    """Run the flow here and return its run's id."""
    with pytest.raises(OSError, match=WORD) as caught:
        fail()
    return str(caught.value).rpartition("(")[2].rstrip(")")


def notes(home: Path) -> set[str]:
    return {note.name for note in (home / flow_runs.ROOM).glob("[!.]*")}


def exists(run: str) -> bool:
    with get_client(sync_client=True) as client:
        try:
            client.read_flow_run(run)
        except ObjectNotFound:
            return False
        return True


def artifacts(run: str) -> list[object]:
    with get_client(sync_client=True) as client:
        its_own = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
        return list(client.read_artifacts(artifact_filter=its_own))


@pytest.mark.slow
def test_the_database_of_a_temporary_server_holds_nothing_of_purged_runs(tmp_path: Path) -> None:
    home, searcher = tmp_path / "lethe", Searcher([WORD])
    ended = subprocess.run(
        [sys.executable, "-c", FAIL], cwd=ROOT, env=environment(home), capture_output=True, text=True, timeout=300
    )
    assert ended.stdout.strip() == "failed", ended.stderr
    places = {find.place for find in searcher.folder(tmp_path)}
    assert {
        f"prefect/prefect.db!{column}"
        for column in ("log.message", "artifact.data", "artifact_collection.data", "flow_run_state.message")
    } <= places
    assert [place for place in places if place.startswith("lethe/results/")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LETHE_HOME", str(home))
        patch.setenv("PREFECT_LOCAL_STORAGE_PATH", str(home / "results"))
        assert purge_flow_runs(expired_only=True) == PurgedFlowRuns(runs=0)
        assert {find.place for find in searcher.folder(tmp_path)} == places
        assert purge_flow_runs() == PurgedFlowRuns(runs=1)
        assert searcher.folder(tmp_path) == []
        assert (notes(home), purge_flow_runs()) == (set(), PurgedFlowRuns(runs=0))


def test_a_server_is_asked_to_delete_its_runs_and_others_stay(flow_home: Path) -> None:
    ours, gone, others = failed(), failed(), failed()
    with get_client(sync_client=True) as client:
        client.delete_flow_run(gone)  # by its user, meanwhile
    (flow_home / flow_runs.ROOM / others).unlink()  # as if another store had it
    assert purge_flow_runs() == PurgedFlowRuns(runs=2)
    assert (exists(ours), exists(others), notes(flow_home)) == (False, True, set())
    assert (len(artifacts(ours)), len(artifacts(others)) > 0) == (0, True)


def test_errors_of_failed_runs_go_and_results_of_stages_stay(lethe_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = lethe_home / "results"
    monkeypatch.setenv("PREFECT_LOCAL_STORAGE_PATH", str(results))
    results.mkdir(parents=True)
    old, new, stage = (results / name for name in ("a" * 32, "b" * 32, f"labels-{'c' * 64}"))
    for file in (old, new, stage):
        file.write_text("{}")
    long_ago = time.time() - 91 * 86_400
    os.utime(old, (long_ago, long_ago))
    purge_flow_runs(expired_only=True)
    assert (old.exists(), new.exists(), stage.exists()) == (False, True, True)
    purge_flow_runs()
    assert (new.exists(), stage.exists()) == (False, True)


def test_what_has_expired_goes_by_the_shorter_of_the_times_set_then_and_now(
    flow_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = failed()
    monkeypatch.setenv("LETHE_RETENTION_DAYS", "0")
    short = failed()
    monkeypatch.delenv("LETHE_RETENTION_DAYS")
    assert purge_flow_runs(expired_only=True) == PurgedFlowRuns(runs=1)
    assert (exists(kept), exists(short)) == (True, False)
    monkeypatch.setenv("LETHE_RETENTION_DAYS", "0")
    assert purge_flow_runs(expired_only=True) == PurgedFlowRuns(runs=1)
    assert not exists(kept)


def test_runs_of_the_stores_own_server_that_is_down_are_deleted_in_its_database(
    lethe_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lethe_home / flow_runs.ROOM).mkdir(parents=True)
    note = lethe_home / flow_runs.ROOM / "a-run"
    note.write_text(json.dumps({"server": f"http://127.0.0.1:{free_port()}/api", "database": "sqlite:///prefect.db"}))
    deleted: list[str] = []
    monkeypatch.setattr(flow_run_purge, "_delete_in_database", lambda server, runs: deleted.extend((server, *runs)))
    assert purge_flow_runs() == PurgedFlowRuns(runs=1)
    assert (deleted, note.exists()) == (["sqlite:///prefect.db", "a-run"], False)


def test_what_cannot_be_reached_is_named_and_asked_again(lethe_home: Path, tmp_path: Path) -> None:
    dead, odd = f"http://127.0.0.1:{free_port()}/api", "postgresql+asyncpg://db/prefect"
    broken = tmp_path / "broken.db"
    broken.write_text("no database, but long enough to be looked at " * 50)
    room = lethe_home / flow_runs.ROOM
    room.mkdir(parents=True)
    absent = f"sqlite+aiosqlite:///{tmp_path}/absent.db"
    for name, server in enumerate((dead, odd, f"sqlite+aiosqlite:///{broken}", absent)):
        (room / f"{name}").write_text(json.dumps({"server": server}))
    began = time.monotonic()
    purged = purge_flow_runs()
    assert purged == PurgedFlowRuns(runs=1, unreached=(dead, odd, f"sqlite+aiosqlite:///{broken}"))
    assert time.monotonic() - began < 3 * flow_run_purge.ANSWER_S
    assert notes(lethe_home) == {"0", "1", "2"}
