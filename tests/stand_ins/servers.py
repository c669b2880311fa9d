"""Real servers for the tests that need one: Prefect's, and transformers' own for language models."""

import contextlib
import os
import socket
import subprocess
import sys
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
        wait_for(lambda: process.poll() is not None or _answers(f"{address}/health"), "the server's start", 300)
        assert process.poll() is None, log.read_text()
        yield f"{address}/v1"


@contextlib.contextmanager
def prefect_server(surroundings: dict[str, str], log: Path) -> Iterator[None]:
    """Run a server until the block ends."""
    with running(["server", "start", "--host", "127.0.0.1"], surroundings, log) as process:
        wait_for(
            lambda: process.poll() is not None or _answers(surroundings["PREFECT_API_URL"] + "/health"),
            "the server's start",
            180,
        )
        assert process.poll() is None, log.read_text()
        yield


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
