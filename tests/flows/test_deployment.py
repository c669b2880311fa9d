"""The deployment on a real server: it is created from its file, its schedule creates a run, and a process worker
completes it.
"""

from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import TypeAdapter

from flows.methods import METHODS
from flows.steps.flow_run_purge import PurgedFlowRuns, purge_flow_runs
from flows.steps.settings import apply_settings
from tasks import tracking
from tests.stand_ins.command import ROOT, environment
from tests.stand_ins.schemas import check_schema
from tests.stand_ins.servers import prefect, prefect_server, prefect_settings, running
from tests.stand_ins.tiny import NAMES, SETTINGS, TinyTask
from tests.stand_ins.waiting import run_to_end, wait_for

pytestmark = pytest.mark.slow
FILE = ROOT / "deployments" / "prefect.yaml"
NAME = "selective-unlearning/selective-unlearning"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deployment")


@pytest.fixture(scope="module")
def surroundings(folder: Path, tiny_task: TinyTask) -> dict[str, str]:
    """What `prefect` and the deployment's file read from the environment."""
    files = {"LETHE_CHECKOUT": str(ROOT), "LETHE_FORGET": str(tiny_task.forget), "LETHE_MODEL": str(tiny_task.model)}
    files |= {"LETHE_EDITS": str(folder / "edits.jsonl"), "LETHE_JUDGED": str(tiny_task.model)}
    (folder / "edits.jsonl").touch()
    return environment(folder / "lethe", **prefect_settings(), **files)


@pytest.fixture(scope="module")
def server(surroundings: dict[str, str], folder: Path) -> Iterator[SyncPrefectClient]:
    address = temporary_settings({PREFECT_API_URL: surroundings["PREFECT_API_URL"]})
    with prefect_server(surroundings, folder / "server.log"), address, get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="module")
def deployment(server: SyncPrefectClient, surroundings: dict[str, str]) -> DeploymentResponse:
    """The commands that the file's own comment gives."""
    for words in (
        ["work-pool", "create", "--type", "process", "lethe"],
        ["deploy", "--prefect-file", "deployments/prefect.yaml", "--all"],
    ):
        assert f"prefect {' '.join(words)}" in FILE.read_text()
        ended = run_to_end(prefect(words), env=surroundings, cwd=ROOT)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    return server.read_deployment_by_name(NAME)


def runs_of(server: SyncPrefectClient, deployment: DeploymentResponse) -> list[FlowRun]:
    return server.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])), limit=200
    )


def short_config() -> dict[str, Any]:
    config = apply_settings(METHODS["whp"].preset("default", 0), list(SETTINGS))
    return TypeAdapter(METHODS["whp"].config).dump_python(config, mode="json")


def test_every_deployment_names_a_flow_by_module_and_has_a_cron_schedule() -> None:
    deployments = yaml.safe_load(FILE.read_text())["deployments"]
    assert deployments
    for deployment in deployments:
        assert "/" not in deployment["entrypoint"]
        assert [schedule for schedule in deployment["schedules"] if "cron" in schedule]


def test_it_is_created_with_its_cron_schedule_and_the_flows_parameters(
    deployment: DeploymentResponse, tiny_task: TinyTask
) -> None:
    assert deployment.entrypoint == "flows.selective_unlearning:selective_unlearning"
    assert [(type(found.schedule), found.active) for found in deployment.schedules] == [(CronSchedule, False)]
    assert deployment.parameters == {"request": {"forget": [str(tiny_task.forget)], "model": str(tiny_task.model)}}
    assert list(deployment.parameter_openapi_schema["properties"]) == [
        "request",
        "config",
        "review",
        "coverage",
        "require_verdict",
    ]


def test_without_what_is_to_be_forgotten_nothing_is_deployed(
    deployment: DeploymentResponse, surroundings: dict[str, str]
) -> None:
    words = prefect(["deploy", "--prefect-file", "deployments/prefect.yaml", "--name", "guardrail"])
    ended = run_to_end(words, env=surroundings | {"LETHE_FORGET": ""}, cwd=ROOT)
    assert ended.returncode != 0
    assert "LETHE_FORGET is not set; wanted all of them" in ended.stdout + ended.stderr


def test_all_are_there(server: SyncPrefectClient, deployment: DeploymentResponse) -> None:
    found = {one.name: one for one in server.read_deployments(limit=200)}
    assert set(found) == {one["name"] for one in yaml.safe_load(FILE.read_text())["deployments"]}
    assert found["gradient-unlearning"].parameters["config"] == {"method": "npo"}
    assert found["evaluate"].parameters["judged"] == found["benchmark"].parameters["judged"]
    assert found["scheduled-reunlearning"].parameters == {"require_verdict": True}
    assert {one.global_concurrency_limit.limit for one in found.values()} == {1}


def test_its_form_shows_the_prose_of_every_setting_and_the_words_of_every_choice(
    deployment: DeploymentResponse,
) -> None:
    assert check_schema(deployment.parameter_openapi_schema, METHODS["whp"].flow().fn) > 100


def test_its_schedule_makes_runs(server: SyncPrefectClient, deployment: DeploymentResponse) -> None:
    nightly = server.read_deployment_by_name("scheduled-reunlearning/scheduled-reunlearning")
    found = wait_for(lambda: [run for run in runs_of(server, nightly) if run.auto_scheduled], "a scheduled run")
    assert all(run.expected_start_time.astimezone(UTC).strftime("%H:%M") == "03:00" for run in found)


def test_a_worker_completes_a_scheduled_run(
    server: SyncPrefectClient,
    deployment: DeploymentResponse,
    surroundings: dict[str, str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    every_minute = CronSchedule(cron="* * * * *", timezone="UTC")
    (schedule,) = server.create_deployment_schedules(
        deployment.id, [(every_minute, True)], parameters={"config": short_config()}
    )

    def begun() -> FlowRun | None:
        return next(
            (
                run
                for run in runs_of(server, deployment)
                if run.auto_scheduled and run.state and not run.state.is_scheduled()
            ),
            None,
        )

    def ended() -> FlowRun | None:
        run = server.read_flow_run(first.id)
        return run if run.state and run.state.is_final() else None

    with running(["worker", "start", "--pool", "lethe"], surroundings, folder / "worker.log"):
        first = wait_for(begun, "the start of a scheduled run", every_s=1)
        server.delete_deployment_schedule(deployment.id, schedule.id)
        found = wait_for(ended, "the end of the scheduled run", 1800, every_s=1)
    assert found.state_name == "Completed", (folder / "worker.log").read_text()[-4000:]
    assert found.created_by is None or found.created_by.type == "SCHEDULE"
    monkeypatch.setenv("LETHE_HOME", str(folder / "lethe"))
    api = tracking.client()
    experiment = api.get_experiment_by_name(tracking.EXPERIMENT).experiment_id
    (run,) = api.search_runs([experiment], f"tags.`lethe.prefect_flow_run` = '{found.id}'")
    assert run.info.status == "FINISHED"
    assert list((folder / "lethe" / "results").glob("finetune-*"))
    assert [name for name in NAMES for log in ("server.log", "worker.log") if name in (folder / log).read_text()] == []
    assert purge_flow_runs() == PurgedFlowRuns(runs=1)
    assert [run for run in runs_of(server, deployment) if run.id == found.id] == []
    assert server.read_deployment_by_name(NAME).parameters == deployment.parameters  # the user's own
