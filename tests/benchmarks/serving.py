"""Lethe as a team runs it, for the benchmarks of its operation: servers and a worker that `lethe up` has started in a
store of their own, deployments, and a model of two layers to work on.
"""

import contextlib
import json
import shlex
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.stand_ins.command import ROOT, environment, lethe
from tests.stand_ins.servers import free_port, prefect
from tests.stand_ins.tiny import TinyTask, write_tiny_task
from tests.stand_ins.tiny_models import make_llama, train_tokenizer
from tests.stand_ins.waiting import run_to_end, wait_for

EXPERIMENT = "lethe"
"""Of MLflow: where the runs are."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """What runs, and where."""

    home: Path
    task: TinyTask
    variables: Mapping[str, str]
    """What a client is to be told."""
    prefect: SyncPrefectClient
    mlflow: str
    """Address."""

    def lethe(self, *words: str | Path) -> dict[str, Any]:
        """Run a command of this store to its end, and return what it wrote for machines.

        Raises:
            RuntimeError: If it fails.
        """
        file = self.home.parent / "said.json"
        ended = lethe(*words, "--json", file, home=self.home, new=True, **self.variables)
        if ended.returncode:
            raise RuntimeError(f"lethe {words[0]} ended with {ended.returncode}: {ended.stderr}")
        return json.loads(file.read_text(encoding="utf-8"))

    def deploy(self, name: str) -> None:
        """Create a deployment from the project's file.

        Raises:
            RuntimeError: If it cannot be created.
        """
        files = {"LETHE_CHECKOUT": ROOT, "LETHE_FORGET": self.task.forget, "LETHE_MODEL": self.task.model}
        told = {variable: str(value) for variable, value in files.items()}
        words = prefect(["deploy", "--prefect-file", "deployments/prefect.yaml", "--name", name])
        ended = run_to_end(words, env=environment(self.home, new=True, **self.variables, **told), cwd=ROOT)
        if ended.returncode:
            raise RuntimeError(f"prefect deploy --name {name}: {ended.stdout}{ended.stderr}")

    def begin(self, name: str, parameters: Mapping[str, Any]) -> UUID:
        """Ask for a run of a deployment, whose flow has the same name."""
        deployment = self.prefect.read_deployment_by_name(f"{name}/{name}")
        return self.prefect.create_flow_run_from_deployment(deployment.id, parameters=dict(parameters)).id

    def end_of(self, run: UUID, patience_s: float = 3600.0) -> FlowRun:
        """Wait until a flow run has ended.

        Raises:
            TimeoutError: If it has not.
        """
        return wait_for(lambda: self._final(run), "the end of the flow run", patience_s, every_s=0.5)

    def _final(self, run: UUID) -> FlowRun | None:
        found = self.prefect.read_flow_run(run)
        return found if found.state and found.state.is_final() else None

    def runs(self, query: str = "") -> list[dict[str, Any]]:
        """Return the tracked runs, of stages too, that a query of MLflow's finds."""
        found = self._ask("runs/search", experiment_ids=[self._experiment()], filter=query, max_results=10_000)
        return list(found.get("runs", []))

    def steps(self, run: str, metric: str) -> list[int]:
        """Return the steps at which a tracked run has values of a metric."""
        found = self._look("metrics/get-history", run_id=run, metric_key=metric).get("metrics", [])
        return [int(one.get("step", 0)) for one in found]

    def models(self) -> dict[str, dict[str, int]]:
        """Return, of every registered model, how many versions it has, and alias -> version."""
        versions = self._look("model-versions/search").get("model_versions", [])
        counted = Counter(one["name"] for one in versions)
        return {name: {"versions": counted[name], **self._aliases(name)} for name in sorted(counted)}

    def _aliases(self, model: str) -> dict[str, int]:
        found = self._look("registered-models/get", name=model)["registered_model"].get("aliases", [])
        return {one["alias"]: int(one["version"]) for one in found}

    def _experiment(self) -> str:
        found = self._ask("experiments/search", max_results=100).get("experiments", [])
        return next((one["experiment_id"] for one in found if one["name"] == EXPERIMENT), "0")

    def _look(self, what: str, **told: str) -> dict[str, Any]:
        answer = httpx.get(f"{self.mlflow}/api/2.0/mlflow/{what}", params=told, timeout=60)
        return dict(answer.raise_for_status().json())

    def _ask(self, what: str, **told: Any) -> dict[str, Any]:
        answer = httpx.post(f"{self.mlflow}/api/2.0/mlflow/{what}", json=told, timeout=60)
        return dict(answer.raise_for_status().json())


@contextlib.contextmanager
def service(folder: Path, deployments: Sequence[str]) -> Iterator[Service]:
    """Start servers and a worker, create deployments, and end all of it when the block ends.

    Args:
        folder: An empty one, for the store and the task.
        deployments: Names.

    Raises:
        RuntimeError: If one of them cannot be started or created.
    """
    home = folder / "lethe"
    task = write_tiny_task(folder, make_llama, train_tokenizer)
    ports = ["--prefect-port", str(free_port()), "--mlflow-port", str(free_port())]
    try:
        started = lethe("up", *ports, "--json", folder / "up.json", home=home, new=True)
        if started.returncode:
            raise RuntimeError(f"lethe up ended with {started.returncode}: {started.stderr}")
        said = json.loads((folder / "up.json").read_text(encoding="utf-8"))
        lines = (home / "services" / "client.env").read_text(encoding="utf-8").splitlines()
        variables = dict(shlex.split(line)[1].split("=", 1) for line in lines)
        address = {PREFECT_API_URL: f"{said['Prefect']}/api"}
        with temporary_settings(address), get_client(sync_client=True) as client:
            running = Service(home=home, task=task, variables=variables, prefect=client, mlflow=said["MLflow"])
            for name in deployments:
                running.deploy(name)
            yield running
    finally:
        lethe("down", home=home, new=True)
        shutil.rmtree(folder, ignore_errors=True)
