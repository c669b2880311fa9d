"""Claims: a store that was moved to another folder works there: stages come from the cache, artifacts of old runs open,
and new runs' artifacts lie beside them.
"""

import shutil
from pathlib import Path

import pytest
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

from tasks import store, tracking
from tests.stand_ins.small_flow import small


def computations(counter: Path) -> int:
    return len(list(counter.iterdir()))


def parents() -> list[str]:
    api = tracking.client()
    experiment = api.get_experiment_by_name(tracking.EXPERIMENT).experiment_id
    return [run.info.run_id for run in api.search_runs([experiment], "tags.`lethe.method` = 'small'")]


def test_a_moved_store_has_its_cache_and_its_artifacts(
    flow_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter, moved = tmp_path / "counter", tmp_path / "another disk" / "lethe"
    counter.mkdir()
    moved.parent.mkdir()
    digest = small(str(counter), "hello", 0.0, False)
    (old,) = parents()
    (tmp_path / "note.txt").write_text("Velmora")
    tracking.log_artifact(old, tmp_path / "note.txt", "forget")
    before = computations(counter)
    shutil.move(flow_home, moved)
    monkeypatch.setenv("LETHE_HOME", str(moved))
    monkeypatch.setattr(store, "_checked", set())
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: str(moved / "results")}):
        assert small(str(counter), "hello", 0.0, False) == digest
    assert (before, computations(counter)) == (2, 2)
    assert Path(tracking.client().download_artifacts(old, "forget/note.txt")).read_text() == "Velmora"
    assert len(parents()) == 2
    assert not flow_home.exists()
