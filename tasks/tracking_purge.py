"""What `purge` deletes in MLflow: the `forget/` artifacts of every run, on every server that the store has used."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks import store
from tasks.tracking_server import (
    EXPERIMENT,
    KEEP_UNTIL,
    as_global_uri,
    client_of,
    used_servers,
    without_credentials,
    without_secrets,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow import MlflowClient
    from mlflow.entities import Run


@dataclass(frozen=True, kw_only=True)
class PurgedRuns:
    """What was deleted, and what could not be looked at."""

    files: int
    """Entries of the artifacts' top folder."""
    unreached: tuple[str, ...] = ()
    """Addresses of servers that do not answer, without passwords: what they hold is still there."""


def purge_artifacts(*, expired_only: bool = False) -> PurgedRuns:
    """Delete forget artifacts, also those of deleted runs and experiments.

    Args:
        expired_only: Only of runs that have outlived their retention time.
    """
    files, unreached = 0, []
    for uri in used_servers():
        try:
            with without_credentials(of=uri):
                api = client_of(uri)
                with as_global_uri(uri):
                    files += sum(
                        _purge(run) for run in _runs(api) if not expired_only or _keep_until(run) <= time.time()
                    )
        except Exception:  # whatever a server that is gone makes of itself
            unreached.append(without_secrets(uri))
    return PurgedRuns(files=files, unreached=tuple(unreached))


def _runs(api: "MlflowClient") -> "Iterator[Run]":
    from mlflow.entities import ViewType

    found = api.search_experiments(view_type=ViewType.ALL, filter_string=f"name = '{EXPERIMENT}'")
    for experiment in found:
        token = None
        while True:
            page = api.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL, page_token=token)
            yield from page
            token = page.token
            if not token:
                break


def _keep_until(run: "Run") -> float:
    """Return until when a run's forget artifacts are kept: by the time that was set then, or now, whichever is
    shorter.
    """
    now_set = run.info.start_time / 1000 + store.retention_s()
    return min(now_set, float(run.data.tags.get(KEEP_UNTIL, now_set)))


def _purge(run: "Run") -> int:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository = get_artifact_repository(f"{run.info.artifact_uri}/forget")
    files = repository.list_artifacts()
    if files:
        repository.delete_artifacts()
    return len(files)
