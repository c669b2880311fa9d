"""MLflow's part of the register of removal requests: an experiment of its own, in which every request is a run that is
no work, ends at once, and is kept in tags. They are public: no forgotten text in them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.tracking_server import client, experiment_id

EXPERIMENT = "lethe-requests"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A request as MLflow has it."""

    id: str
    """Of the run."""
    tags: Mapping[str, str]


def make_entry(name: str, tags: Mapping[str, str]) -> str:
    """Make an entry and return its id.

    Args:
        name: What it is called.
        tags: What stands in it.
    """
    api = client()
    entry = api.create_run(experiment_id(api, EXPERIMENT), tags=dict(tags), run_name=name).info.run_id
    api.set_terminated(entry)
    return entry


def entries(query: str = "", *, deleted: bool = False) -> list[Entry]:
    """Return entries in the order in which they were made.

    Args:
        query: Which ones, in MLflow's words; empty: all.
        deleted: With those that somebody has deleted in MLflow.
    """
    from mlflow.entities import ViewType

    api, found, token = client(), [], None
    view = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
    while True:
        page = api.search_runs([experiment_id(api, EXPERIMENT)], query, view, page_token=token)
        found, token = [*found, *page], page.token
        if not token:
            in_order = sorted(found, key=lambda run: run.info.start_time)
            return [Entry(id=run.info.run_id, tags=dict(run.data.tags)) for run in in_order]


def amend_entry(entry: str, tags: Mapping[str, str], name: str | None = None) -> None:
    """Set tags of an entry in one call, and its name where one is given."""
    from mlflow.entities import RunTag

    api = client()
    api.log_batch(entry, tags=[RunTag(key, value) for key, value in tags.items()])
    if name:
        api.update_run(entry, name=name)
