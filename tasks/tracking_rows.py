"""What MLflow has of runs, on every server that the store has used, and how it is deleted for good.

A database lets go of rows as `mlflow gc` does; that command would also take what others have deleted there. A server
has no call for it: there a run goes to the deleted ones, without its artifacts, until `mlflow gc` is run beside it.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tasks import store
from tasks.execution import serving, upkeep
from tasks.tracking_leases import has_lease, is_held
from tasks.tracking_server import (
    EXPERIMENT,
    as_global_uri,
    client,
    own_database,
    tracking_uri,
    used_servers,
    without_credentials,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run


@dataclass(frozen=True, kw_only=True)
class Row:
    """A run as a server has it."""

    id: str
    server: str
    parent: str
    """Id of the run that it is nested in; empty: it is a flow's."""
    name: str
    started: float
    """Seconds of the epoch."""
    ended: float
    """The same; of a run that has not ended, when it began."""
    is_held: bool
    """Whether its process lives."""
    tags: Mapping[str, str]
    bytes: int
    """Of its artifacts and models, where they are files of this machine."""


def servers() -> list[str]:
    """Return the addresses of what is to be asked: the store's own database where `lethe up` serves it here."""
    here = not serving.is_remote()
    return list(dict.fromkeys(own_database() if here and serving.is_own(uri) else uri for uri in used_servers()))


@contextlib.contextmanager
def asking(server: str) -> Iterator["MlflowClient"]:
    """Let MLflow's own functions and `tracking_server.client` mean a server while the block runs.

    Raises:
        NoTrackingServerError: If it does not answer.
    """
    today = tracking_uri()
    is_today = server == own_database() and serving.is_own(today)
    with without_credentials(of=today if is_today else server), as_global_uri(server):
        yield client()


def rows(api: "MlflowClient", server: str) -> list[Row]:
    """Return all runs of ours on a server; of a database also those that somebody has deleted there."""
    from mlflow.entities import ViewType

    experiment, found, token = api.get_experiment_by_name(EXPERIMENT), [], None
    if experiment is None:
        return []
    view = ViewType.ALL if _is_database(server) else ViewType.ACTIVE_ONLY
    models = _models(api, experiment.experiment_id)
    while True:
        page = api.search_runs([experiment.experiment_id], run_view_type=view, max_results=1000, page_token=token)
        found, token = [*found, *page], page.token
        if not token:
            return [_row(run, server, models.get(run.info.run_id, ())) for run in found]


def _is_database(server: str) -> bool:
    return not server.startswith("http")


def _models(api: "MlflowClient", experiment: str) -> "dict[str, list[LoggedModel]]":
    """Return run -> models that it logged, whose files lie beside its own."""
    found: dict[str, list[LoggedModel]] = {}
    token = None
    while True:
        page = api.search_logged_models([experiment], page_token=token)
        for model in page:
            found.setdefault(model.source_run_id or "", []).append(model)
        token = page.token
        if not token:
            return found


def _row(run: "Run", server: str, models: "Sequence[LoggedModel]") -> Row:
    started = run.info.start_time / 1000
    tags = dict(run.data.tags)
    addresses = [run.info.artifact_uri, *(model.artifact_location for model in models)]
    return Row(
        id=run.info.run_id,
        server=server,
        parent=tags.get("mlflow.parentRunId", ""),
        name=run.info.run_name or "",
        started=started,
        ended=(run.info.end_time or run.info.start_time) / 1000,
        is_held=run.info.status == "RUNNING" and has_lease(tags) and is_held(tags, started),
        tags=tags,
        bytes=sum(map(_local_size, addresses)),
    )


def _local_size(address: str) -> int:
    parts = urlsplit(address)
    return upkeep.size(Path(unquote(parts.path))) if parts.scheme in ("", "file") else 0


def delete_rows(server: str, runs: Sequence[str]) -> None:
    """Delete runs with their artifacts and logged models; those that are gone are no error.

    Args:
        server: As `servers` names it.
        runs: Their ids.
    """
    with asking(server) as api:
        experiment = api.get_experiment_by_name(EXPERIMENT)
        models = _models(api, experiment.experiment_id) if experiment else {}
        for run in runs:
            for model in models.get(run, ()):
                _delete_files(model.artifact_location)
                api.delete_logged_model(model.model_id)
                _forget(api, server, "_hard_delete_logged_model", model.model_id)
            _delete_run(api, server, run)
    _give_back(server)


def _delete_run(api: "MlflowClient", server: str, run: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        found = api.get_run(run)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return
    _delete_files(found.info.artifact_uri)
    if found.info.lifecycle_stage == "active":
        api.delete_run(run)
    _forget(api, server, "_hard_delete_run", run)


def _delete_files(address: str) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository = get_artifact_repository(address)
    if repository.list_artifacts():
        repository.delete_artifacts()


def _forget(api: Any, server: str, method: str, name: str) -> None:
    """Delete a row for good, which no public call of MLflow's does."""
    if _is_database(server):
        getattr(api._tracking_client.store, method)(name)


def _give_back(server: str) -> None:
    """Let the store's own database be as small as its rows; where somebody is busy with it, it stays as large."""
    file = store.home() / "mlflow.db"
    if server == own_database() and file.is_file():
        with (
            contextlib.suppress(sqlite3.OperationalError),
            contextlib.closing(sqlite3.connect(file, timeout=2)) as database,
        ):
            database.execute("vacuum")
