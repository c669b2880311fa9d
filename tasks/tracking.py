"""MLflow, which nothing but this and the `tracking_*` beside it imports. Every call takes the run's id: MLflow's active
run does not cross threads.

One parent run for a flow run, one nested run for a stage. Params, tags and run names are public: no forgotten text in
them. Artifacts of sensitivity `forget` live under the prefix `forget/`, where `purge` finds them. Names:
mlflow/README.md.
"""

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tasks import store
from tasks.algorithms.text.cells import as_cell
from tasks.artifacts import Artifact, InputFile, Sensitivity
from tasks.settings.servers import ServersConfig
from tasks.tracking_server import EXPERIMENT as EXPERIMENT
from tasks.tracking_server import KEEP_UNTIL, NoTrackingServerError, experiment_id, without_secrets
from tasks.tracking_server import as_global_uri as as_global_uri
from tasks.tracking_server import client as client
from tasks.tracking_server import is_remote as is_remote
from tasks.tracking_server import own_database as own_database
from tasks.tracking_server import tracking_uri as tracking_uri
from tasks.tracking_steps import FLUSH_ROWS as FLUSH_ROWS
from tasks.tracking_steps import StepLog as StepLog
from tasks.tracking_steps import deliver_undelivered
from tasks.tracking_steps import log_metrics as log_metrics

if TYPE_CHECKING:
    import pandas
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

INPUTS = "inputs.json"
"""Names, paths and plain digests of a run's data sets."""
SHOWN = "mlflow.loggedArtifacts"
"""MLflow's tag of a run: which artifacts its UI shows, and how."""
CARD_DIGEST = "lethe.scorecard"
"""Tag of a run: what its scorecard says, as a digest, by which a copy of the card finds its run."""
FLOW_RUN = "lethe.prefect_flow_run"
"""Tag of a parent run: its flow run in Prefect."""


def load() -> None:
    """Import what the first use of MLflow needs, which takes seconds; nothing is written."""
    import mlflow  # noqa: F401

    if tracking_uri().startswith("sqlite"):
        from mlflow.store.tracking import sqlalchemy_store  # noqa: F401


def open_run(name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    """Open the parent run of a flow run and return its id; one that was suspended with its flow run goes on.

    Args:
        name: Run name, public.
        params: Config, nested mappings allowed.
        tags: Method, paper and the like; git commit and dirty flag are added.
    """
    from mlflow.entities import Param

    api = client()
    deliver_undelivered(api)
    _end_dead_runs(api)
    if earlier := _suspended(api, tags.get(FLOW_RUN, "")):
        api.update_run(earlier, status="RUNNING")
        set_tags(earlier, {"lethe.process": _process()})
        return earlier
    run = api.create_run(
        experiment_id(api), tags={"mlflow.runName": name, "lethe.process": _process(), **_kept(), **_git_tags(), **tags}
    )
    api.log_batch(run.info.run_id, params=[Param(key, _short(value)) for key, value in flatten(params).items()])
    return run.info.run_id


def suspend(run: str) -> None:
    """Let a run wait for its flow run, whose process ends and which goes on in another one: it is not running."""
    client().update_run(run, status="SCHEDULED")


def end_suspended(flow_run: str) -> None:
    """End the run of a suspended flow run that will not go on."""
    if run := _suspended(client(), flow_run):
        close(run, "KILLED")


def _suspended(api: "MlflowClient", flow_run: str) -> str | None:
    """Return the parent run that waits for a flow run, or None."""
    query = f"tags.`{FLOW_RUN}` = '{flow_run}' and attributes.status = 'SCHEDULED'"
    found = api.search_runs([experiment_id(api)], query, max_results=1) if flow_run else []
    return found[0].info.run_id if found else None


def _process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _kept() -> dict[str, str]:
    return {KEEP_UNTIL: str(int(time.time() + store.retention_s()))}


def _end_dead_runs(api: "MlflowClient") -> None:
    """End the runs of processes of this machine that were killed: no run is left running."""
    for run in api.search_runs([experiment_id(api)], "attributes.status = 'RUNNING'"):
        host, _, process = run.data.tags.get("lethe.process", "").rpartition(":")
        if host == socket.gethostname() and not store.alive(int(process)):
            close(run.info.run_id, "KILLED")


def _git_tags() -> dict[str, str]:
    root = Path(__file__).resolve().parent.parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return {
            "mlflow.source.git.commit": git("rev-parse", "HEAD"),
            "lethe.git_dirty": str(bool(git("status", "--porcelain"))).lower(),
        }
    except (OSError, subprocess.SubprocessError):
        return {}


def flatten(values: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested mappings and dataclasses as one mapping with dotted names."""
    if is_dataclass(values) and not isinstance(values, type):
        values = asdict(values)
    if not isinstance(values, Mapping):
        return {prefix: values}
    return {
        key: item
        for name, value in values.items()
        for key, item in flatten(value, f"{prefix}.{name}" if prefix else str(name)).items()
    }


def _short(value: Any) -> str:
    return str(value)[:500]


@contextlib.contextmanager
def stage_run(parent: str | None, stage: str, params: Any = None) -> Iterator[str | None]:
    """Run a stage inside a nested run; a retry goes on with the run of the earlier try. Yields its id (None without a
    parent).
    """
    if parent is None:
        yield None
        return
    from mlflow.entities import Param

    api = client()
    run = _earlier_try(api, parent, stage) or _nested_run(api, parent, stage)
    api.log_batch(run, params=[Param(key, _short(value)) for key, value in flatten(params or {}).items()])
    try:
        yield run
    except BaseException:
        with contextlib.suppress(NoTrackingServerError):  # the stage's own error says more
            api.set_terminated(run, "FAILED")
        raise
    api.set_terminated(run, "FINISHED")


def _earlier_try(api: "MlflowClient", parent: str, stage: str) -> str | None:
    query = f"tags.`mlflow.parentRunId` = '{parent}' and tags.`lethe.stage` = '{stage}'"
    runs = api.search_runs([experiment_id(api)], query, max_results=1)
    if not runs:
        return None
    api.update_run(runs[0].info.run_id, status="RUNNING")
    return runs[0].info.run_id


def _nested_run(api: "MlflowClient", parent: str, stage: str, tags: Mapping[str, str] = MappingProxyType({})) -> str:
    own = {"mlflow.runName": stage, "mlflow.parentRunId": parent, "lethe.stage": stage, **_kept()}
    return api.create_run(experiment_id(api), tags=own | tags).info.run_id


def log_artifact(run: str | None, path: Path, sensitivity: Sensitivity, folder: str = "") -> None:
    """Log a file under `folder`; forget artifacts go under `forget/`."""
    if run:
        prefix = "forget" if sensitivity == "forget" else ""
        client().log_artifact(run, str(path), artifact_path="/".join(part for part in (prefix, folder) if part) or None)


def log_table(run: str | None, frame: "pandas.DataFrame", name: str, sensitivity: Sensitivity) -> None:
    """Log a table as CSV and, in the form of MLflow's own `log_table`, as one that its UI shows; that function itself
    would leave it in the machine's temporary folder if it were killed.
    """
    if not run:
        return
    with store.scratch() as folder:
        files = [folder / f"{name}.{ending}" for ending in ("csv", "json")]
        frame.map(as_cell).to_csv(files[0], index=False)
        shown = frame.astype(object).where(frame.notna(), None)
        shown.to_json(files[1], orient="split", index=False, date_format="iso")
        for file in files:
            log_artifact(run, file, sensitivity, "tables")
    prefix = "forget/" if sensitivity == "forget" else ""
    _show_as_table(run, f"{prefix}tables/{name}.json")


def _show_as_table(run: str, artifact: str) -> None:
    tagged = json.loads(client().get_run(run).data.tags.get(SHOWN, "[]"))
    entry = {"path": artifact, "type": "table"}
    if entry not in tagged:
        set_tags(run, {SHOWN: json.dumps([*tagged, entry])})


def log_inputs(run: str, files: Mapping[str, list[InputFile]]) -> None:
    """Log the data sets of a run by split, number and a digest that only this store can make; what they are called and
    where they lie is a forget artifact.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs, places = [], []
    for split, split_files in files.items():
        for number, file in enumerate(split_files, 1):
            name, digest = f"{split} {number}", store.keyed(file.digest)
            places.append({"name": name, "keyed": digest, "digest": file.digest, "path": file.path})
            data = Dataset(name=name, digest=digest[:32], source_type="local", source=f"forget/{INPUTS}")
            inputs.append(DatasetInput(dataset=data, tags=[InputTag("mlflow.data.context", split)]))
    if not inputs:
        return
    client().log_inputs(run, inputs)
    with store.scratch() as folder:
        file = folder / INPUTS
        file.write_text(json.dumps(places, indent=1), encoding="utf-8")
        log_artifact(run, file, "forget")


def log_scorecard(run: str, card: Mapping[str, Any]) -> None:
    """Log a scorecard: metrics of the unlearned model by name, the others' with a suffix, the verdict and the card's
    digest as tags.
    """
    rows: dict[str, float] = {}
    for name, row in card["metrics"].items():
        for model, key in (("unlearned", name), ("target", f"{name}.target"), ("retrained", f"{name}.retrained")):
            if row[model] is not None:
                rows[metric_name(key)] = row[model]
    log_metrics(run, rows)
    verdict = {f"lethe.verdict.{name}": str(value) for name, value in card["verdict"].items() if name != "reasons"}
    set_tags(run, {**verdict, CARD_DIGEST: card_digest(card)})


def card_digest(card: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what a scorecard says, however it is written, in hexadecimal."""
    return hashlib.sha256(json.dumps(card, sort_keys=True).encode()).hexdigest()


def metric_name(name: str) -> str:
    """Return a name that MLflow takes: letters, digits, `_ - . / space`."""
    return "".join(letter if letter.isalnum() or letter in "_-./ " else "-" for letter in name)


def link_cached(run: str, stage: str, artifact: Artifact) -> None:
    """Note that a stage was a cache hit: a finished nested run that links to the run which made the artifact."""
    api = client()
    tags = {
        "lethe.cached": "true",
        "lethe.origin_run": artifact.origin,
        "mlflow.note.content": f"From cache; made by run {artifact.origin}.",
    }
    nested = _earlier_try(api, run, stage)
    if nested and nested != artifact.origin:  # else it was made before this very run was suspended
        set_tags(nested, tags)
    api.set_terminated(nested or _nested_run(api, run, stage, tags), "FINISHED")


def find_run(run: str) -> "Run | None":
    """Return a run, or None where the server knows no such run."""
    from mlflow.exceptions import MlflowException

    try:
        return client().get_run(run)
    except MlflowException:
        return None


def points(run: str, metric: str) -> "list[Metric]":
    """Return all that was logged of a run's metric, each with `step`, `value` and `timestamp` in milliseconds."""
    return client().get_metric_history(run, metric)


def set_tags(run: str, tags: Mapping[str, str]) -> None:
    """Set tags of a run, in one call."""
    from mlflow.entities import RunTag

    client().log_batch(run, tags=[RunTag(name, value) for name, value in tags.items()])


def close(run: str, status: str = "FINISHED") -> None:
    """End a run and any nested run that is still open, at whatever depth: no run is left running."""
    api, query = client(), f"tags.`mlflow.parentRunId` = '{run}' and attributes.status = 'RUNNING'"
    for nested in api.search_runs([experiment_id(api)], query):
        close(nested.info.run_id, status)
    api.set_terminated(run, status)


def close_after(error: BaseException, run: str) -> None:
    """End a run that an error ended: failed, or killed where somebody asked for that. Where the server is dead too, the
    error stays what is said.
    """
    with contextlib.suppress(NoTrackingServerError):
        close(run, "FAILED" if isinstance(error, Exception) else "KILLED")


@contextlib.contextmanager
def system_metrics(run: str) -> Iterator[None]:
    """Log processor, memory and disk use of this machine to the run while the block runs."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(run, tracking_uri=tracking_uri())
    monitor.start()
    # it waits for its server, which may be what has ended the block
    finishing = threading.Thread(target=monitor.finish, name="lethe-load", daemon=True)
    try:
        yield
    except BaseException:
        finishing.start()
        finishing.join(2)
        raise
    finishing.start()
    finishing.join()


def run_address(run: str) -> tuple[str, str]:
    """Return where a person sees the run, and what to start first where the store is a local database."""
    return address_of(run_page(run))


def address_of(page: str) -> tuple[str, str]:
    """Return the whole address of a page of MLflow, and what to start first where the store is a local database."""
    uri, path = tracking_uri(), f"/{page}"
    if uri.startswith("http"):
        return without_secrets(uri).rstrip("/") + path, "On the tracking server."
    own = uri == own_database()
    start = (
        "lethe up" if own else f"mlflow server --backend-store-uri {without_secrets(uri)} --host 127.0.0.1 --port 5000"
    )
    return f"{ServersConfig().mlflow}{path}", f"Start `{start}` first."


def run_page(run: str) -> str:
    """Return the address of the run's page, relative to MLflow's first one."""
    return f"#/experiments/{experiment_id(client())}/runs/{run}"
