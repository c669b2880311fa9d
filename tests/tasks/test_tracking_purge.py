"""Claims: purge deletes the forget artifacts of every run on every server that the store has used, also of deleted runs
and experiments; with --expired those of runs that have outlived their time, as it was set then or is now; a server that
cannot be reached is named; no other server than today's gets to know its password.
"""

import os
import socket
from pathlib import Path

import pytest

from tasks import store, tracking, tracking_purge
from tasks.tracking_server import used_servers


@pytest.fixture(autouse=True)
def home(lethe_home: Path, tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("Velmora")
    return lethe_home


def run_with_secret(tmp_path: Path) -> str:
    run = tracking.open_run("a run", {}, {})
    with tracking.stage_run(run, "translation") as nested:
        for one in (run, nested):
            tracking.log_artifact(one, tmp_path / "secret.txt", "forget")
    tracking.close(run)
    return run


def secrets(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("secret.txt") if path.is_file()]


def test_deleted_runs_and_experiments_are_purged_too(tmp_path: Path, home: Path) -> None:
    api = tracking.client()
    api.delete_run(run_with_secret(tmp_path))
    last = run_with_secret(tmp_path)
    api.delete_experiment(api.get_run(last).info.experiment_id)
    assert len(secrets(home)) == 4
    assert tracking_purge.purge_artifacts() == tracking_purge.PurgedRuns(files=4)
    assert secrets(home) == []


def test_what_has_expired_goes_by_the_shorter_of_the_times_set_then_and_now(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_with_secret(tmp_path)
    assert tracking_purge.purge_artifacts(expired_only=True).files == 0
    monkeypatch.setenv("LETHE_RETENTION_DAYS", "0")
    run_with_secret(tmp_path)
    monkeypatch.delenv("LETHE_RETENTION_DAYS")
    assert tracking_purge.purge_artifacts(expired_only=True).files == 2
    assert len(secrets(home)) == 2
    monkeypatch.setenv("LETHE_RETENTION_DAYS", "0")
    assert tracking_purge.purge_artifacts(expired_only=True).files == 2
    assert secrets(home) == []


def test_servers_of_earlier_days_are_purged_and_one_that_is_gone_is_named(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_with_secret(tmp_path)
    monkeypatch.chdir(tmp_path)  # a database of one's own keeps artifacts in the current folder
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/another.db")
    run_with_secret(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with (store.home() / "servers").open("a") as file:
        file.write(f"http://127.0.0.1:{port}\n")
    assert used_servers() == [
        f"sqlite:///{home}/mlflow.db",
        f"sqlite:///{tmp_path}/another.db",
        f"http://127.0.0.1:{port}",
    ]
    purged = tracking_purge.purge_artifacts()
    assert (purged.files, purged.unreached) == (4, (f"http://127.0.0.1:{port}",))
    assert [path for path in secrets(tmp_path) if path != tmp_path / "secret.txt"] == []


def test_no_other_server_gets_to_know_todays_password(monkeypatch: pytest.MonkeyPatch) -> None:
    today, earlier = "http://127.0.0.1:1", "http://127.0.0.1:2"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", today)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "swordfish")
    told: dict[str, str | None] = {}

    def ask(uri: str) -> None:
        told[uri] = os.environ.get("MLFLOW_TRACKING_PASSWORD")
        raise OSError

    monkeypatch.setattr(tracking_purge, "used_servers", lambda: [today, earlier])
    monkeypatch.setattr(tracking_purge, "client_of", ask)
    tracking_purge.purge_artifacts()
    assert (told, os.environ["MLFLOW_TRACKING_PASSWORD"]) == ({today: "swordfish", earlier: None}, "swordfish")
