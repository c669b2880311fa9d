"""A real Prefect server for the tests that need one."""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.command import ROOT
from tests.waiting import wait_for


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
    with log.open("wb") as stream, subprocess.Popen(prefect(words), env=surroundings, cwd=ROOT, stdout=stream, stderr=subprocess.STDOUT) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@contextlib.contextmanager
def prefect_server(surroundings: dict[str, str], log: Path) -> Iterator[None]:
    """Run a server until the block ends."""
    with running(["server", "start", "--host", "127.0.0.1"], surroundings, log) as process:
        wait_for(lambda: process.poll() is not None or _is_healthy(surroundings["PREFECT_API_URL"]), "the server's start", 180)
        assert process.poll() is None, log.read_text()
        yield


def _is_healthy(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
