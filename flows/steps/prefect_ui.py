"""What a flow shows in the Prefect UI: progress, the way to MLflow, scorecard, report and model."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.settings import get_current_settings

from flows.steps import temporary_server
from tasks import store, tracking
from tasks.artifacts import Artifact, CheckpointRef
from tasks.execution import progress
from tasks.execution.progress import Progress
from tasks.settings.servers import ServersConfig

EVERY_S = 5.0
"""Seconds between updates of a progress artifact: each is a request to the server."""


class ProgressArtifacts:
    """Turns progress of stages into progress artifacts of their task runs."""

    def __init__(self) -> None:
        self._made: dict[str, UUID] = {}
        self._told: dict[str, float] = {}
        self._turns: dict[str, threading.Lock] = {}
        """Stage -> held while it is told of: trials of a sweep have stages of one name, side by side."""

    def __call__(self, reported: Progress) -> None:
        """Create or update the stage's artifact, not too often, but always at the end."""
        turn, finished = self._turns.setdefault(reported.stage, threading.Lock()), reported.done >= reported.total
        if turn.acquire(blocking=finished):  # what lies in between is soon told of anew
            try:
                self._tell(reported, finished)
            finally:
                turn.release()

    def _tell(self, reported: Progress, finished: bool) -> None:
        now = time.monotonic()
        if not finished and now - self._told.get(reported.stage, -EVERY_S) < EVERY_S:
            return
        self._told[reported.stage] = now
        percent = 100.0 * reported.done / max(1, reported.total)
        if reported.stage not in self._made:
            key = "progress-" + re.sub(r"[^a-z0-9]+", "-", reported.stage.lower()).strip("-")
            self._made[reported.stage] = create_progress_artifact(progress=percent, key=key, description=reported.stage)
        else:
            update_progress_artifact(artifact_id=self._made[reported.stage], progress=percent)


@contextmanager
def progress_artifacts() -> Iterator[None]:
    """Show the progress of all stages in the Prefect UI while the block runs."""
    stop = progress.listen(ProgressArtifacts())
    try:
        yield
    finally:
        stop()


def show_run(run: str) -> None:
    """Link the MLflow run from the flow run."""
    address, how = tracking.run_address(run)
    create_link_artifact(key="mlflow-run", link=address, link_text="MLflow run", description=how)


def prefect_place(run: str, name: str) -> str:
    """Return where a person sees a flow run, and what to start first where no server is configured."""
    settings = get_current_settings()
    address = settings.ui_url or (settings.api.url and settings.api.url.removesuffix("/api"))
    if address and not temporary_server.is_temporary(settings.api.url):
        return f"{address}/runs/flow-run/{run}"
    return f"{ServersConfig().prefect}/runs/flow-run/{run} (run {name}; start `lethe up` first)"


def show_scorecard(card: dict[str, Any]) -> None:
    """Show the scorecard as a table, verdict first."""
    verdict = card["verdict"]
    rows = [
        {
            "metric": name,
            **{label: row[label] for label in ("target", "unlearned", "retrained")},
            "95 %": str(row["ci95"]),
            "n": row["n"],
        }
        for name, row in card["metrics"].items()
    ]
    create_table_artifact(
        key="scorecard",
        table=rows,
        description=f"Verdict: {'passed' if verdict['passed'] else 'not passed'}, evidence {verdict['evidence']}",
    )


def show_report(report: Artifact, redacted: Artifact, link: str) -> None:
    """Link the report without forgotten text in MLflow from the flow run, and say where in the store both lie.

    Args:
        report: In full.
        redacted: For anyone to read.
        link: Address of the latter in MLflow, relative to its first page.
    """
    address, how = tracking.address_of(link)
    create_link_artifact(key="report", link=address, link_text="Report without forgotten text", description=how)
    rows = {"Without forgotten text": redacted, "In full, with forgotten text": report}
    create_markdown_artifact(
        key="report-files",
        markdown=_as_table({words: f"`{store.path(artifact)}`" for words, artifact in rows.items()}),
        description="The report's folders in the store",
    )


def show_model(model: CheckpointRef, version: str) -> None:
    """Say where the model that was made lies, and as which version it is registered, if it is.

    Args:
        model: In the store; one that is the user's own is not named.
        version: Registered model and version, in words, or an empty text.
    """
    rows = {} if model.location else {"Folder": f"`{store.path(model)}`"}
    if version:
        name, _, number = version.rpartition(" version ")
        address, _ = tracking.address_of(f"#/models/{name}/versions/{number}")
        rows["Registered"] = f"[{version}]({address})"
    create_markdown_artifact(key="model", markdown=_as_table(rows), description="The model that was made")


def _as_table(rows: dict[str, str]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def show_comparison(comparison: dict[str, Any]) -> None:
    """Show what each run has left and kept as a table."""
    points = {(panel["kept"], point["run"]): point for panel in comparison["panels"] for point in panel["points"]}
    rows = []
    for run in comparison["runs"]:
        row = {"run": run["name"], "method": run["method"], "seed": run["seed"], "passed": run["verdict"]["passed"]}
        for panel in comparison["panels"]:
            point = points.get((panel["kept"], run["name"]), {})
            row |= {f"{panel['left']} left": point.get("left"), f"{panel['kept']} kept": point.get("kept")}
        rows.append(row)
    create_table_artifact(
        key="comparison", table=rows, description="Figures of the unlearned models over their targets'"
    )
