"""Servers for the tests that need one: Prefect's, MLflow's, transformers' own for language models, and such as answer
nothing or something else.
"""

import contextlib
import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.stand_ins.command import ROOT
from tests.stand_ins.waiting import wait_for


def free_port() -> int:
    """Return a port on which nothing listens."""
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def prefect_settings() -> dict[str, str]:
    """Return the environment of a server of its own, and of everything that is to reach it."""
    port = free_port()
    return {
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_CLI_PROMPT": "false",
        "DO_NOT_TRACK": "1",
    }


def prefect(words: list[str]) -> list[str]:
    """Return the command line of `prefect` with these words."""
    return [sys.executable, "-m", "prefect", *words]


@contextlib.contextmanager
def running(words: list[str], surroundings: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a `prefect` command in the background and end it by its own process id."""
    with _started(prefect(words), surroundings, log) as process:
        yield process


@contextlib.contextmanager
def _started(command: list[str], surroundings: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (
        log.open("wb") as stream,
        subprocess.Popen(command, env=surroundings, cwd=ROOT, stdout=stream, stderr=subprocess.STDOUT) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@contextlib.contextmanager
def transformers_server(model: Path, log: Path) -> Iterator[str]:
    """Run `transformers serve` with a model until the block ends; yield its address."""
    port = free_port()
    command = [
        str(Path(sys.executable).parent / "transformers"),
        "serve",
        str(model),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--device",
        "cpu",
    ]
    with _started(command, {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}, log) as process:
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: process.poll() is not None or _answers(f"{address}/health"), "the server's start")
        assert process.poll() is None, log.read_text()
        yield f"{address}/v1"


@contextlib.contextmanager
def prefect_server(surroundings: dict[str, str], log: Path) -> Iterator[None]:
    """Run a server until the block ends."""
    with running(["server", "start", "--host", "127.0.0.1"], surroundings, log) as process:
        wait_for(
            lambda: process.poll() is not None or _answers(surroundings["PREFECT_API_URL"] + "/health"),
            "the server's start",
        )
        assert process.poll() is None, log.read_text()
        yield


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


class MlflowServer:
    """MLflow's own server, which can be killed, stopped and started again at the same address, with all its runs."""

    def __init__(self, folder: Path) -> None:
        self.port, self._folder, self._process = free_port(), folder, None
        self.address = f"http://127.0.0.1:{self.port}"
        folder.mkdir(exist_ok=True)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        place = ["--backend-store-uri", f"sqlite:///{self._folder}/runs.db", "--artifacts-destination", self._folder]
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", self.port, *place]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(word) for word in (*command, "--workers", "1")],
                cwd=self._folder,
                env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(
            lambda: self._process.poll() is not None or _answers(f"{self.address}/health"),
            "the start of MLflow's server",
        )
        assert self._process.poll() is None, (self._folder / "log").read_text()

    def send(self, number: int) -> None:
        """Send all of its processes a signal."""
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """End it, as a machine that goes down does."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.send(signal.SIGKILL)
            self._process.wait()


@contextlib.contextmanager
def mlflow_server(folder: Path) -> Iterator[MlflowServer]:
    """Run MLflow's server until the block ends."""
    server = MlflowServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """Yield a port where connections are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@contextlib.contextmanager
def page_server(page: bytes, every_s: float = 0.0) -> Iterator[int]:
    """Yield the port of a web server that answers everything with a page, byte by byte where `every_s` is given."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):  # whoever asked may have gone
                for byte in [page] if not every_s else (page[place : place + 1] for place in range(len(page))):
                    self.wfile.write(byte)
                    if over.wait(every_s):
                        return

        def log_message(self, *words: object) -> None:
            pass

    over, web = threading.Event(), http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    web.daemon_threads = True
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        yield web.server_port
    finally:
        over.set()
        web.shutdown()
        web.server_close()
