"""Claims: every run is told with its parent, its files' size and whether its process lives, which a stage's run never
says; others' servers get neither today's password nor its registry; on a server runs go with their artifacts, and are
not found again.
"""

import os
from pathlib import Path

import pytest

from tasks import tracking, tracking_rows
from tasks.tracking_server import own_database
from tests.stand_ins.databases import give_runs
from tests.stand_ins.servers import mlflow_server


@pytest.fixture
def home(lethe_home: Path) -> Path:
    give_runs(lethe_home)
    return lethe_home


def with_a_file(tmp_path: Path) -> tuple[str, str]:
    """A run that is open, and its stage's."""
    (tmp_path / "card.json").write_text("0123456789")
    run = tracking.open_run("a run", {}, {"lethe.method": "whp"})
    with tracking.stage_run(run, "finetune") as nested:
        tracking.log_artifact(nested, tmp_path / "card.json", "public")
    return run, nested


def all_rows(server: str) -> dict[str, tracking_rows.Row]:
    with tracking_rows.asking(server) as api:
        return {row.id: row for row in tracking_rows.rows(api, server)}


def test_a_run_is_told_with_its_size_and_whether_it_is_held(home: Path, tmp_path: Path) -> None:
    run, nested = with_a_file(tmp_path)
    tracking.client().update_run(nested, status="RUNNING")
    rows = all_rows(own_database())
    assert [(row.name, row.parent, row.is_held, row.bytes) for row in (rows[run], rows[nested])] == [
        ("a run", "", True, 0),
        ("finetune", run, False, 10),
    ]
    assert rows[run].tags["lethe.method"] == "whp"
    tracking.close(run)
    assert not all_rows(own_database())[run].is_held


def test_todays_password_and_registry_are_todays_servers_alone(
    lethe_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_rows, "client", lambda: None)
    told_today = "swordfish"
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", told_today)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{tmp_path}/registry.db")
    for server, told in ((own_database(), told_today), (f"sqlite:///{tmp_path}/other.db", None)):
        with tracking_rows.asking(server):
            assert os.environ.get("MLFLOW_TRACKING_PASSWORD") == told
            assert os.environ["MLFLOW_TRACKING_URI"] == server
    assert os.environ.get("MLFLOW_TRACKING_PASSWORD") == told_today


@pytest.mark.slow
def test_on_a_server_runs_go_with_their_artifacts_and_are_not_found_again(
    lethe_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mlflow_server(tmp_path / "server") as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
        run, nested = with_a_file(tmp_path)
        tracking.close(run)
        (listed,) = tracking_rows.servers()
        assert set(all_rows(listed)) == {run, nested}
        tracking_rows.delete_rows(listed, [run, nested])
        assert all_rows(listed) == {}
        assert list((tmp_path / "server").rglob("card.json")) == []
        tracking_rows.delete_rows(listed, [run, "f" * 32])
