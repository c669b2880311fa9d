"""Claims: a tracking server that is dead, silent, or no MLflow is named within ten seconds, without its password, and
under no lock; a database of the store's own that was left unfinished does not stop a run.
"""

import http.server
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tasks import store, tracking
from tasks import tracking_server as server


@pytest.fixture
def silent() -> Iterator[int]:
    """A port where connections are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def other() -> Iterator[int]:
    """A web server that is no MLflow."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

        def log_message(self, *words: object) -> None:
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    yield web.server_port
    web.shutdown()
    web.server_close()


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


def test_one_that_says_nothing_is_named(silent: int, monkeypatch: pytest.MonkeyPatch, lethe_home: Path) -> None:
    assert f"127.0.0.1:{silent}" in refusal(silent, monkeypatch)


def test_one_that_is_no_mlflow_is_named(other: int, monkeypatch: pytest.MonkeyPatch, lethe_home: Path) -> None:
    assert "JSON" in refusal(other, monkeypatch)


def test_an_unfinished_database_does_not_stop_a_run(lethe_home: Path) -> None:
    with closing(sqlite3.connect(store.home() / "mlflow.db")) as database:
        database.execute("CREATE TABLE experiments (experiment_id INTEGER)")
    run = tracking.open_run("a run", {}, {})
    tracking.close(run)
    assert tracking.client().get_run(run).info.status == "FINISHED"


def test_addresses_are_shown_without_secrets() -> None:
    assert server.without_secrets("https://a:b@host:1/path") == "https://host:1/path"
    assert server.without_secrets("http://host/x") == "http://host/x"
