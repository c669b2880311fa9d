"""MLflow's part of the monitor: runs that last. Each ends at once, so that nothing takes it for work under way, and
gets a point at every measurement. Their tags are public.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from tasks.tracking_server import client, experiment_id


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """A lasting run."""

    id: str
    tags: Mapping[str, str]


def make_monitor(name: str, tags: Mapping[str, str]) -> str:
    """Make a lasting run and return its id.

    Args:
        name: What it is called.
        tags: By which it is found.
    """
    api = client()
    run = api.create_run(experiment_id(api), tags=dict(tags), run_name=name).info.run_id
    api.set_terminated(run)
    return run


def find_monitor(query: str) -> Monitor | None:
    """Return the earliest lasting run that a query in MLflow's words finds, or None."""
    api = client()
    found = api.search_runs([experiment_id(api)], query, max_results=1, order_by=["attributes.start_time ASC"])
    return Monitor(id=found[0].info.run_id, tags=dict(found[0].data.tags)) if found else None


def log_point(run: str, step: int, figures: Mapping[str, float], tags: Mapping[str, str]) -> None:
    """Add a point to a lasting run, in one call: all of it is there, or nothing.

    Args:
        run: Its id.
        step: Number of the point.
        figures: Metric -> value.
        tags: What is said of the point.
    """
    from mlflow.entities import Metric, RunTag

    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, step) for name, value in figures.items()]
    client().log_batch(run, metrics=metrics, tags=[RunTag(name, value) for name, value in tags.items()])
