"""Claims: a tracking server that is dead, silent, endless, or no MLflow is named within ten seconds, without its
password, and under no lock, also in the middle of a run; a database of the store's own that was left unfinished does
not stop a run; a store that was copied has its runs' artifacts where it is, and lets the original alone; the servers of
`lethe up`, which serve the store's own database, are not noted as others.
"""

import shutil
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from tasks import store, tracking, tracking_purge
from tasks import tracking_server as server
from tasks.execution import serving
from tasks.execution.serving import Serving
from tasks.settings.servers import ServersConfig
from tests.stand_ins.servers import page_server, silent_server


def refusal(port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://someone:secret@127.0.0.1:{port}")
    started = time.monotonic()
    with pytest.raises(server.NoTrackingServerError) as raised:
        tracking.client()
    assert time.monotonic() - started < 10
    assert not (store.home() / "locks").exists()
    assert "secret" not in str(raised.value) and "\n" not in str(raised.value)
    return str(raised.value)


def test_one_that_is_dead_is_named(monkeypatch: pytest.MonkeyPatch, lethe_home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert refusal(port, monkeypatch).startswith(f"the MLflow server http://127.0.0.1:{port} cannot be used: ")


def test_one_that_says_nothing_is_named(monkeypatch: pytest.MonkeyPatch, lethe_home: Path) -> None:
    with silent_server() as port:
        assert f"127.0.0.1:{port}" in refusal(port, monkeypatch)


@pytest.mark.parametrize(
    ("page", "said"), [(b"<html>hello</html>", "JSON"), (b"[]", "JSON"), (b'{"hello": 1}', "it answers with hello")]
)
def test_one_that_is_no_mlflow_is_named(
    page: bytes, said: str, monkeypatch: pytest.MonkeyPatch, lethe_home: Path
) -> None:
    with page_server(page) as port:
        assert said in refusal(port, monkeypatch)


def test_one_that_answers_without_end_is_named(monkeypatch: pytest.MonkeyPatch, lethe_home: Path) -> None:
    """Each byte begins a library's time limit anew."""
    with page_server(b" " * 1000, every_s=0.5) as port:
        assert "no answer within 8 s" in refusal(port, monkeypatch)


def test_a_stage_of_a_run_under_way_is_more_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    assert server._patience_s() == server.ANSWER_S
    monkeypatch.setattr("multiprocessing.parent_process", lambda: object())
    assert server._patience_s() == server.UNDER_WAY_S > server.ANSWER_S


class Dying:
    """Stands for a client whose server may have died."""

    def __init__(self, error: Exception) -> None:
        self.error, self.calls, self.uri = error, 0, "a field"

    def search_runs(self) -> None:
        self.calls += 1
        raise self.error


def watched(error: Exception, monkeypatch: pytest.MonkeyPatch, *, alive: bool) -> tuple[Any, Dying]:
    uri, dying = "http://127.0.0.1:1", Dying(error)
    looks = iter(
        [None, None] if alive else [None, server.NoTrackingServerError("dead"), server.NoTrackingServerError("dead")]
    )

    def look(uri: str) -> None:
        if found := next(looks):
            raise found

    monkeypatch.setattr(server, "_ready", set())
    monkeypatch.setattr(server, "require_server", look)
    monkeypatch.setattr(server, "_client", lambda uri, registry: dying)
    return server.client_of(uri), dying


@pytest.mark.parametrize("error", [MlflowException("no connection"), ConnectionError("no connection")])
def test_one_that_died_in_the_middle_of_a_run_is_named_and_not_asked_again(
    error: Exception, monkeypatch: pytest.MonkeyPatch, lethe_home: Path
) -> None:
    api, dying = watched(error, monkeypatch, alive=False)
    assert api.uri == "a field"
    for _ in range(2):
        with pytest.raises(server.NoTrackingServerError):
            api.search_runs()
    assert dying.calls == 1


def test_what_one_that_lives_refuses_stays_its_own_error(monkeypatch: pytest.MonkeyPatch, lethe_home: Path) -> None:
    api, _ = watched(MlflowException("no such run"), monkeypatch, alive=True)
    with pytest.raises(MlflowException, match="no such run"):
        api.search_runs()


def test_an_unfinished_database_does_not_stop_a_run(lethe_home: Path) -> None:
    with closing(sqlite3.connect(store.home() / "mlflow.db")) as database:
        database.execute("CREATE TABLE experiments (experiment_id INTEGER)")
    run = tracking.open_run("a run", {}, {})
    tracking.close(run)
    assert tracking.client().get_run(run).info.status == "FINISHED"


def test_addresses_are_shown_without_secrets() -> None:
    assert server.without_secrets("https://a:b@host:1/path") == "https://host:1/path"
    assert server.without_secrets("http://host/x") == "http://host/x"


def logged(file: Path) -> str:
    run = tracking.open_run("a run", {}, {})
    tracking.log_artifact(run, file, "forget")
    tracking.close(run)
    return run


def test_a_copied_store_has_its_artifacts_and_lets_the_original_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, copy = tmp_path / "original", tmp_path / "a copy"
    (tmp_path / "note.txt").write_text("Velmora")
    monkeypatch.setenv("LETHE_HOME", str(original))
    old = logged(tmp_path / "note.txt")
    shutil.copytree(original, copy)
    monkeypatch.setenv("LETHE_HOME", str(copy))
    api = tracking.client()
    assert Path(api.download_artifacts(old, "forget/note.txt")).read_text() == "Velmora"
    assert api.get_run(old).info.artifact_uri.startswith((copy / "mlflow-artifacts").as_uri())
    new = logged(tmp_path / "note.txt")
    assert api.get_run(new).info.artifact_uri.startswith((copy / "mlflow-artifacts").as_uri())
    assert tracking_purge.purge_artifacts().files == 2
    assert [len(list(home.rglob("note.txt"))) for home in (copy, original)] == [0, 1]
    shutil.move(original, tmp_path / "moved")
    monkeypatch.setenv("LETHE_HOME", str(tmp_path / "moved"))
    assert [file.path for file in tracking.client().list_artifacts(old, "forget")] == ["forget/note.txt"]


def test_servers_of_the_store_are_not_noted_as_others(lethe_home: Path) -> None:
    serving.write(Serving(config=ServersConfig(), mark="mark", services=(), logs=""))
    for uri in ("http://127.0.0.1:5000", "http://127.0.0.1:5001"):
        server._note(uri)
    assert server.used_servers()[1:] == ["http://127.0.0.1:5001"]
