"""MLflow, which nothing but this and the `tracking_*` beside it imports. Every call takes the run's id: MLflow's active
run does not cross threads.

One parent run for a flow run, one nested run for a stage. Params, tags and run names are public: no forgotten text in
them. Artifacts of sensitivity `forget` live under the prefix `forget/`, where `purge` finds them. Names:
mlflow/README.md.
"""

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tasks import store
from tasks.algorithms.text.cells import as_cell
from tasks.artifacts import Artifact, InputFile, Sensitivity
from tasks.settings.servers import ServersConfig
from tasks.tracking_leases import FLOW_RUN as FLOW_RUN
from tasks.tracking_leases import LEASE, has_lease, hold, is_held, new_lease, release, suspended_run
from tasks.tracking_leases import REQUEST as REQUEST
from tasks.tracking_leases import suspend as suspend
from tasks.tracking_server import EXPERIMENT as EXPERIMENT
from tasks.tracking_server import KEEP_UNTIL, NoTrackingServerError, experiment_id, without_secrets
from tasks.tracking_server import as_global_uri as as_global_uri
from tasks.tracking_server import client as client
from tasks.tracking_server import is_remote as is_remote
from tasks.tracking_server import own_database as own_database
from tasks.tracking_server import tracking_uri as tracking_uri
from tasks.tracking_source import commit_tags, source_tags
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
MACHINE = "machine"
"""Name of the nested run that has the load of the machine."""
NOTE = "mlflow.note.content"
"""MLflow's tag of a run: its description, in Markdown."""
ARTIFACT = "lethe.artifact"
"""Tag of a stage's run: which artifact it made, or took from the cache."""
CARD_DIGEST = "lethe.scorecard"
"""Tag of a run: what its scorecard says, as a digest, by which a copy of the card finds its run."""


def load() -> None:
    """Import what the first use of MLflow needs, which takes seconds; nothing is written."""
    import mlflow  # noqa: F401

    if tracking_uri().startswith("sqlite"):
        from mlflow.store.tracking import sqlalchemy_store  # noqa: F401


def open_run(name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    """Open the parent run of a flow run and return its id; one that was suspended with its flow run goes on.

    Args:
        name: Run name, public.
        params: What it was told, nested mappings allowed.
        tags: Method, paper and the like; account, commit and dirty flag are added.
    """
    api = client()
    deliver_undelivered(api)
    _end_dead_runs(api)
    if earlier := suspended_run(tags.get(FLOW_RUN, "")):
        api.update_run(earlier, status="RUNNING")
        set_tags(earlier, {LEASE: new_lease()})
        hold(earlier)
        return earlier
    own = {"mlflow.runName": name, LEASE: new_lease(), **_kept(), **source_tags(), **commit_tags()}
    run = api.create_run(experiment_id(api), tags={**own, **tags}).info.run_id
    hold(run)
    log_params(run, params)
    return run


def log_params(run: str, params: Mapping[str, Any]) -> None:
    """Log what a run was told or found, nested mappings allowed; MLflow keeps the first value of a param for good."""
    from mlflow.entities import Param

    client().log_batch(run, params=[Param(key, _short(value)) for key, value in flatten(params).items()])


def end_suspended(flow_run: str) -> str | None:
    """End the run of a suspended flow run that will not go on, and return its id; None where there is none."""
    if run := suspended_run(flow_run):
        close(run, "KILLED")
    return run


def _kept() -> dict[str, str]:
    return {KEEP_UNTIL: str(int(time.time() + store.retention_s()))}


def _end_dead_runs(api: "MlflowClient") -> None:
    """End the runs that nobody holds any more: no run is left running. A stage's run ends with its flow's."""
    for run in api.search_runs([experiment_id(api)], "attributes.status = 'RUNNING'"):
        if has_lease(run.data.tags) and not is_held(run.data.tags, run.info.start_time / 1000):
            close(run.info.run_id, "KILLED")


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
    api = client()
    run = _earlier_try(api, parent, stage) or _nested_run(api, parent, stage, {"lethe.stage": stage})
    log_params(run, params or {})
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


def _nested_run(api: "MlflowClient", parent: str, name: str, tags: Mapping[str, str] = MappingProxyType({})) -> str:
    own = {"mlflow.runName": name, "mlflow.parentRunId": parent, **_kept(), **source_tags()}
    return api.create_run(experiment_id(api), tags=own | tags).info.run_id


def log_artifact(run: str | None, path: Path, sensitivity: Sensitivity, folder: str = "") -> None:
    """Log a file under `folder`; forget artifacts go under `forget/`."""
    if run:
        prefix = "forget" if sensitivity == "forget" else ""
        client().log_artifact(run, str(path), artifact_path="/".join(part for part in (prefix, folder) if part) or None)


def log_text(run: str, text: str, name: str, sensitivity: Sensitivity) -> None:
    """Log text as a file of that name."""
    with store.scratch() as folder:
        file = folder / name
        file.write_text(text, encoding="utf-8")
        log_artifact(run, file, sensitivity)


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
    log_text(run, json.dumps(places, indent=1), INPUTS, "forget")


def log_scorecard(run: str, card: Mapping[str, Any], first: Sequence[str] = ()) -> None:
    """Log a scorecard: metrics of the unlearned model by name, the others' with a suffix; the verdict as params and,
    check by check, as tags; the card's digest as a tag.

    Args:
        run: Id of the tracked run.
        card: scorecard.v1.
        first: Metrics that are logged before the others, in their order, where the card has them: MLflow's page that
            compares runs opens on the metric that came first.
    """
    rows: dict[str, float] = {}
    for name, row in card["metrics"].items():
        for model, key in (("unlearned", name), ("target", f"{name}.target"), ("retrained", f"{name}.retrained")):
            if row[model] is not None:
                rows[metric_name(key)] = row[model]
    for name in map(metric_name, first):  # of one call MLflow makes an order of its own
        if name in rows:
            log_metrics(run, {name: rows.pop(name)})
    log_metrics(run, rows)
    verdict = card["verdict"]
    log_verdict(run, verdict["passed"], verdict["evidence"])
    checks = {f"lethe.verdict.{name}": str(value) for name, value in verdict.items() if name != "reasons"}
    set_tags(run, {**checks, CARD_DIGEST: card_digest(card)})


def log_verdict(run: str, passed: bool, tier: str) -> None:
    """Log how a run's model was judged, and by which tier of evidence, as params, which MLflow lays side by side."""
    log_params(run, {"verdict": "passed" if passed else "not passed", "verdict.tier": tier})


def card_digest(card: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what a scorecard says, however it is written, in hexadecimal."""
    return hashlib.sha256(json.dumps(card, sort_keys=True).encode()).hexdigest()


def metric_name(name: str) -> str:
    """Return a name that MLflow takes: letters, digits, `_ - . / space`."""
    return "".join(letter if letter.isalnum() or letter in "_-./ " else "-" for letter in name)


def name_artifact(artifact: Artifact) -> str:
    """Return a digest by which everyone who has this store finds an artifact, on whichever server; nobody else can
    tell from it what was forgotten.
    """
    return store.keyed(artifact.digest) if artifact.sensitivity == "forget" else artifact.digest


def mark_made(artifact: Artifact) -> None:
    """Note on the run that made an artifact which one it is, by which it is found from other servers too; nothing where
    a stage passed on what was made on another server.
    """
    from mlflow.exceptions import MlflowException

    try:
        set_tags(artifact.origin, {ARTIFACT: name_artifact(artifact)})
    except MlflowException:
        if find_run(artifact.origin):
            raise


def link_cached(run: str, stage: str, artifact: Artifact) -> None:
    """Note that a stage was a cache hit: a finished nested run that links to the run which made the artifact, or says
    by which name and digest that is found on the server which has it.
    """
    api, digest = client(), name_artifact(artifact)
    tags = {
        "lethe.cached": "true",
        "lethe.origin_run": artifact.origin,
        ARTIFACT: digest,
        NOTE: _origin_in_words(stage, artifact.origin, digest),
    }
    nested = _earlier_try(api, run, stage)
    if nested and nested != artifact.origin:  # else it was made before this very run was suspended
        set_tags(nested, tags)
    api.set_terminated(nested or _nested_run(api, run, stage, {"lethe.stage": stage, **tags}), "FINISHED")


def _origin_in_words(stage: str, origin: str, digest: str) -> str:
    if find_run(origin):
        return f"From cache; made by the run [{stage} {origin[:8]}]({run_page(origin)})."
    return (
        f"From cache; made by a run that this server does not know: `{stage}`, id `{origin}`, on its own server the one"
        f" with the tag `{ARTIFACT}` = `{digest}`."
    )


def add_note(run: str, words: str) -> None:
    """Add a paragraph, in Markdown, to what the run's page says of it first."""
    found = find_run(run)
    earlier = found.data.tags.get(NOTE, "") if found else ""
    set_tags(run, {NOTE: f"{earlier}\n\n{words}".strip()})


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
    release(run)
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
def system_metrics(parent: str) -> Iterator[None]:
    """Log processor, memory and disk use of this machine while the block runs, to a nested run of their own: beside
    the figures that runs are compared by they would come first.
    """
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    api = client()
    run = _nested_run(api, parent, MACHINE)
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
    api.set_terminated(run, "FINISHED")


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
