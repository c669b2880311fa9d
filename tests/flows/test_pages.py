"""Claims, of the pages of Prefect and MLflow after a run of the deployment: they show what a person looks for, whose
run it is and on which model, every stage, the verdict, the way to the report; and no forgotten name.
"""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import TypeAdapter

from flows.methods import METHODS
from flows.steps.settings import apply_settings
from tests.stand_ins.browser import CHROMIUM, read_page
from tests.stand_ins.command import ROOT, environment, lethe
from tests.stand_ins.servers import free_port, prefect
from tests.stand_ins.tiny import NAMES, SETTINGS, TinyTask
from tests.stand_ins.waiting import run_to_end, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}")]
STAGES = "corpus anchors translation reinforcement labels finetune scorecard report registration".split()


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A run of the deployment that has ended."""

    prefect: str
    """Addresses of the servers."""
    mlflow: str
    flow_run: FlowRun
    tracked: dict[str, Any]
    pictures: Path


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, tiny_task: TinyTask) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("pages")
    home, ports = folder / "lethe", ["--prefect-port", free_port(), "--mlflow-port", free_port()]
    started = lethe("up", *(str(word) for word in ports), "--json", folder / "up.json", home=home)
    try:
        assert started.returncode == 0, started.stderr
        said = json.loads((folder / "up.json").read_text())
        yield _run(said["Prefect"], said["MLflow"], home, folder, tiny_task)
    finally:
        lethe("down", home=home)


def _run(server: str, mlflow: str, home: Path, folder: Path, task: TinyTask) -> Deployed:
    lines = (home / "services" / "client.env").read_text().splitlines()
    found = dict(shlex.split(line)[1].split("=", 1) for line in lines)
    files = {"LETHE_CHECKOUT": str(ROOT), "LETHE_FORGET": str(task.forget), "LETHE_MODEL": str(task.model)}
    words = prefect(["deploy", "--prefect-file", "deployments/prefect.yaml", "--name", "selective-unlearning"])
    ended = run_to_end(words, env=environment(home, **found, **files), cwd=ROOT)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    config = apply_settings(METHODS["whp"].preset("default", 0), list(SETTINGS))
    parameters = {"config": TypeAdapter(METHODS["whp"].config).dump_python(config, mode="json")}
    with temporary_settings({PREFECT_API_URL: f"{server}/api"}), get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("selective-unlearning/selective-unlearning")
        made = client.create_flow_run_from_deployment(deployment.id, parameters=parameters).id

        def final() -> FlowRun | None:
            run = client.read_flow_run(made)
            return run if run.state and run.state.is_final() else None

        run = wait_for(final, "the end of the run", 1200, every_s=1)
    assert run.state.is_completed(), run.state
    # a run that was tried again has an earlier one that failed
    of_run = f"tags.`lethe.prefect_flow_run` = '{made}' and attributes.status = 'FINISHED'"
    query = {"experiment_ids": ["1"], "filter": of_run}
    (tracked,) = httpx.post(f"{mlflow}/api/2.0/mlflow/runs/search", json=query, timeout=60).json()["runs"]
    return Deployed(prefect=server, mlflow=mlflow, flow_run=run, tracked=tracked, pictures=folder)


def test_prefects_page_of_the_run_shows_verdict_and_stages(deployed: Deployed) -> None:
    wanted = [deployed.flow_run.name, deployed.flow_run.state.message, *STAGES]
    address = f"{deployed.prefect}/runs/flow-run/{deployed.flow_run.id}"
    text = read_page(address, wanted, deployed.pictures / "prefect.png")
    assert [words for words in wanted if words not in text] == []
    assert "Verdict" in deployed.flow_run.state.message
    assert [name for name in NAMES if name in text] == []


def test_its_artifacts_lead_to_mlflow_report_and_model(deployed: Deployed) -> None:
    address = f"{deployed.prefect}/runs/flow-run/{deployed.flow_run.id}"
    wanted = ["mlflow-run", "report", "model", "scorecard"]
    text = read_page(address, wanted, deployed.pictures / "artifacts.png", tab="Artifacts")
    assert [words for words in wanted if words not in text] == []


def test_mlflows_page_of_the_run_shows_whose_it_is_its_verdict_and_its_figures(deployed: Deployed) -> None:
    info = deployed.tracked["info"]
    assert info["run_name"].startswith(f"{deployed.flow_run.name} whp ")
    address = f"{deployed.mlflow}/#/experiments/{info['experiment_id']}/runs/{info['run_id']}"
    wanted = [info["run_name"], "verdict", "forget_test/familiarity", "preset", "lethe-"]
    text = read_page(address, wanted, deployed.pictures / "mlflow.png")
    assert [words for words in wanted if words not in text] == []
    assert [name for name in NAMES if name in text] == []


def test_mlflows_list_of_runs_names_it(deployed: Deployed) -> None:
    address = f"{deployed.mlflow}/#/experiments/{deployed.tracked['info']['experiment_id']}/runs"
    wanted = [deployed.tracked["info"]["run_name"]]
    text = read_page(address, wanted, deployed.pictures / "runs.png")
    assert [words for words in wanted if words not in text] == []
