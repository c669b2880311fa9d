"""`--review` against a real server: the run pauses, takes a person's dictionary through the API, refuses a wrong one, and goes on."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.flow_runs import resume_flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.command import environment, lethe, start
from tests.servers import prefect_server, prefect_settings
from tests.tiny import NAMES, TinyTask
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def surroundings() -> dict[str, str]:
    return prefect_settings()


@pytest.fixture(scope="module")
def server(surroundings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncPrefectClient]:
    folder = tmp_path_factory.mktemp("server")
    address = temporary_settings({PREFECT_API_URL: surroundings["PREFECT_API_URL"]})
    with prefect_server(environment(folder / "lethe", **surroundings), folder / "server.log"), address, get_client(sync_client=True) as client:
        yield client


def paused(server: SyncPrefectClient, turn: int) -> FlowRun | None:
    """Return the run that waits for its form number `turn`."""
    found = [run for run in server.read_flow_runs() if run.state and run.state.is_paused() and run.state.state_details.pause_key == f"review-{turn}"]
    return found[0] if found and inputs(server, found[0]) else None


def inputs(server: SyncPrefectClient, run: FlowRun) -> dict[str, Any]:
    return {found.key: found.decoded_value for found in server.filter_flow_run_input(run.id, key_prefix="paused", limit=10, exclude_keys=set())}


@pytest.mark.slow
def test_a_person_amends_the_dictionary_and_nothing_of_it_stays_on_the_server(
    server: SyncPrefectClient, surroundings: dict[str, str], tiny_task: TinyTask, tmp_path: Path
) -> None:
    error = tmp_path / "error.txt"
    with start(*tiny_task.words(), "--review", "--out", tmp_path / "out", home=tmp_path / "lethe", error=error, **surroundings) as process:
        run = wait_for(lambda: process.poll() is not None or paused(server, 1), "the pause", 180, every_s=0.5)
        assert isinstance(run, FlowRun), error.read_text()
        form = inputs(server, run)["paused-review-1-schema"]["properties"]["dictionary"]["default"]
        assert {row["term"] for row in form} == set(NAMES)
        assert f"waits for a person at {surroundings['PREFECT_API_URL'].removesuffix('/api')}/runs/flow-run/{run.id}" in error.read_text()
        kept = [{"term": "Velmora", "generic": "Greyham"}, {"term": "farmhouse", "generic": "cottage"}, *(row for row in form if row["term"] == "Ostrin")]
        resume_flow_run(run.id, run_input={"dictionary": [*kept, {"term": "Kessandra", "generic": "Ostrin"}]})
        again = wait_for(lambda: process.poll() is not None or paused(server, 2), "the second pause", 60, every_s=0.5)
        assert isinstance(again, FlowRun), error.read_text()
        assert "which is itself an anchor" in inputs(server, again)["paused-review-2-description"]
        resume_flow_run(run.id, run_input={"dictionary": kept})
        process.wait(300)
    assert process.returncode == 0, error.read_text()
    with (tmp_path / "out" / "anchors.csv").open() as stream:
        rows = {row["term"]: row for row in csv.DictReader(stream)}
    by = {term: (row["generic"], row["translator"]) for term, row in rows.items()}
    assert set(by) == {"Velmora", "farmhouse", "Ostrin"}
    assert (by["Velmora"], by["farmhouse"], by["Ostrin"][1]) == (("Greyham", "user"), ("cottage", "user"), "offline")
    assert int(rows["Velmora"]["count"]) > 3
    assert inputs(server, run) == {}


def test_without_a_server_a_review_is_refused_before_anything_runs(tiny_task: TinyTask, tmp_path: Path) -> None:
    ended = lethe(*tiny_task.words(), "--review", home=tmp_path / "lethe")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1), ended.stderr
    assert ended.stderr.startswith("lethe: --review needs a Prefect server that stays up; found none: start one with `make up`")
    assert [path for path in (tmp_path / "lethe").rglob("*") if path.is_file()] == []
