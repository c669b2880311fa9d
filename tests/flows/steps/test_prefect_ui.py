"""Claims: a stage has one progress artifact, whichever threads report it, and the last report is never left out."""

import threading
import time

import pytest

from flows.steps import prefect_ui
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
