"""The deployment on a real server: it is created from its file, its schedule creates a run, and a process worker
completes it; one that waits for a person has no process meanwhile, and goes on in another one.
"""

from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    DeploymentFilter,
    DeploymentFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.flow_runs import resume_flow_run
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


def of_run(run: FlowRun) -> LogFilter:
    return LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]))


def made_by(run: FlowRun) -> ArtifactFilter:
    return ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))


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
        "runner",
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


def forms_of(server: SyncPrefectClient, run: FlowRun) -> dict[str, Any]:
    found = server.filter_flow_run_input(run.id, key_prefix="", limit=10, exclude_keys=set())
    return {item.key: item.decoded_value for item in found}


def tracked_as(run: FlowRun) -> list[str]:
    """Return the states of the parent runs in MLflow that belong to a flow run."""
    api = tracking.client()
    experiment = api.get_experiment_by_name(tracking.EXPERIMENT).experiment_id
    return [one.info.status for one in api.search_runs([experiment], f"tags.`{tracking.FLOW_RUN}` = '{run.id}'")]


def test_a_review_suspends_the_run_which_holds_no_process_and_is_one_run_in_mlflow(
    server: SyncPrefectClient,
    deployment: DeploymentResponse,
    surroundings: dict[str, str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LETHE_HOME", str(folder / "lethe"))
    parameters = {"config": short_config(), "review": "new"}

    def begun() -> FlowRun:
        return server.create_flow_run_from_deployment(deployment.id, parameters=parameters)

    def suspended(turn: int) -> dict[str, Any]:
        """Wait for a form, and until the process that showed it has ended; return its fields."""

        def shown() -> bool:
            state = server.read_flow_run(run.id).state
            assert not state.is_final(), (folder / "reviewed.log").read_text()[-4000:]
            return state.name == "Suspended" and f"suspended-review-{turn}-schema" in forms_of(server, run)

        wait_for(shown, f"form {turn}", 600, every_s=1)
        wait_for(lambda: not psutil.Process(worker.pid).children(recursive=True), "the end of the process", 120)
        assert tracked_as(run) == ["SCHEDULED"]
        return forms_of(server, run)[f"suspended-review-{turn}-schema"]["properties"]

    def ended() -> FlowRun | None:
        found = server.read_flow_run(run.id)
        return found if found.state and found.state.is_final() else None

    with running(["worker", "start", "--pool", "lethe"], surroundings, folder / "reviewed.log") as worker:
        run = begun()
        form = suspended(1)
        assert form["dictionary"]["title"] == f"Anchors: {len(NAMES)}"
        (velmora, *others) = sorted(form["dictionary"]["default"], key=lambda row: row["term"] != "Velmora")
        assert (velmora["keep"], velmora["count"] > 3, "Velmora" in velmora["context"]) == (True, True, True)
        wrong = [velmora | {"translation": others[0]["term"]}, *others[:1]]
        resume_flow_run(run.id, run_input={"dictionary": wrong})
        form = suspended(2)
        assert set(forms_of(server, run)) == {f"suspended-review-2-{part}" for part in ("schema", "description")}
        assert "which is itself an anchor" in forms_of(server, run)["suspended-review-2-description"]
        assert [row["keep"] for row in form["dictionary"]["default"]].count(True) == 2
        right = [velmora | {"translation": "Greyham"}, *others[:1]]
        resume_flow_run(run.id, run_input={"dictionary": right})
        found = wait_for(ended, "the end of the run", 900, every_s=1)
        assert found.state_name == "Completed", (folder / "reviewed.log").read_text()[-4000:]
        assert (tracked_as(run), forms_of(server, run)) == (["FINISHED"], {})
        run = begun()
        found = wait_for(ended, "the end of the run that nobody is asked about", 900, every_s=1)
        assert (found.state_name, forms_of(server, run)) == ("Completed", {})
        said = [log.message for log in server.read_logs(of_run(run), limit=200)]
        assert "review: nothing is new, and nobody is asked: Anchors: 2; " in "\n".join(said)
        artifacts = server.read_artifacts(artifact_filter=made_by(run))
    assert {"report", "report-files", "model"} <= {found.key for found in artifacts}
    anchors = [file.read_text() for file in (folder / "lethe").rglob("dictionary.json")]
    assert any("Greyham" in text for text in anchors)
    assert [name for name in NAMES if name in (folder / "reviewed.log").read_text()] == []
    assert [name for name in NAMES for found in artifacts if name in str(found.data)] == []
    assert list((folder / "lethe" / "forms").iterdir()) == []
