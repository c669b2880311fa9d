"""Claims: a stage has one progress artifact, whichever threads report it, and the last report is never left out; report
and model are artifacts of the flow run that say where they lie, and hold no forgotten text nor a place of the user's.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.runtime import flow_run

from flows.steps import prefect_ui
from flows.steps.flow_runs import flow
from tasks import store, tracking
from tasks.artifacts import CheckpointRef, ReportRef
from tasks.execution.progress import Progress


def test_a_stage_has_one_progress_artifact(monkeypatch: pytest.MonkeyPatch) -> None:
    made, updated = [], []

    def create(progress: float, **named: object) -> str:
        time.sleep(0.05)  # a request to the server
        made.append(progress)
        return "an id"

    monkeypatch.setattr(prefect_ui, "create_progress_artifact", create)
    monkeypatch.setattr(prefect_ui, "update_progress_artifact", lambda artifact_id, progress: updated.append(progress))
    show = prefect_ui.ProgressArtifacts()
    reports = [Progress(stage="probing", done=done, total=4) for done in (1, 2, 4, 4)]
    threads = [threading.Thread(target=show, args=(report,)) for report in reports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert (made + updated)[-1] == 100.0


def shown(show: Callable[[], None]) -> dict[str, str]:
    """Return the artifacts of a flow run that shows something: key -> what is in it."""

    @flow(name="shows")
    def one() -> str:
        show()
        return str(flow_run.id)

    run = one()
    with get_client(sync_client=True) as server:
        its_own = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
        return {found.key: str(found.data) for found in server.read_artifacts(artifact_filter=its_own)}


def test_the_report_is_linked_in_mlflow_and_both_files_are_named(
    flow_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept(name: str, text: str, sensitivity: str) -> ReportRef:
        digest = store.put("reports", lambda folder: (folder / name).write_text(text) and None, sensitivity=sensitivity)
        return ReportRef(kind="reports", digest=digest, sensitivity=sensitivity)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5001/")
    full, redacted = kept("report.html", "Velmora", "forget"), kept("report-redacted.html", "nobody", "public")
    found = shown(lambda: prefect_ui.show_report(full, redacted, "#/experiments/1/runs/2/artifacts/report"))
    assert "http://127.0.0.1:5001/#/experiments/1/runs/2/artifacts/report" in found["report"]
    assert str(store.path(full)) in found["report-files"]
    assert str(store.path(redacted)) in found["report-files"]
    assert "Velmora" not in str(found)


@pytest.mark.parametrize(("location", "version"), [("", "lethe-1a2b version 3"), ("/home/velmora/model", "")])
def test_the_model_that_was_made_has_a_folder_and_a_version(location: str, version: str, flow_home: Path) -> None:
    digest = store.put("checkpoints", lambda folder: (folder / "config.json").write_text("{}") and None)
    model = CheckpointRef(
        kind="checkpoints", digest=digest, sensitivity="ordinary", parameters=1, label="unlearned", location=location
    )
    found = shown(lambda: prefect_ui.show_model(model, version))["model"]
    assert (str(store.path(model)) in found) is not bool(location)
    address, _ = tracking.address_of("#/models/lethe-1a2b/versions/3")
    assert (f"[{version}]({address})" in found) is bool(version)
