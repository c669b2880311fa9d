"""The Prefect server of a command where none is configured: it starts with the command's flows and ends with the
command.

Prefect would start one by itself, but with the first request, while nothing else goes on, and after loading the whole
server into the command's own process, of which only the server's has need: 4 s of processor time. The command line is
that of Prefect's `SubprocessASGIServer`.
"""

import atexit
import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.execution.isolation import SAFE_PATH

ANSWER_S = 5.0
"""Seconds that the server may take for an answer while it starts."""
_ROLE = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"} | SAFE_PATH
_GUARD = """
import contextlib, os, sys, time
import psutil
command = int(sys.argv[1])
with contextlib.suppress(psutil.NoSuchProcess):
    server = psutil.Process(int(sys.argv[2]))
    while os.getppid() == command:
        time.sleep(0.5)
    server.terminate()
    with contextlib.suppress(psutil.TimeoutExpired):
        server.wait(10)
    server.kill()
"""
"""Ends the server (second number) soon after the command that started it (first number) has ended, in whatever way."""
_address: str | None = None


def is_temporary(address: str | None) -> bool:
    """Return whether an API's address is that of this process' own server, which nobody can reach any more when the
    command has ended.
    """
    return address is not None and address == _address


def require(meanwhile: Callable[[], Any] = lambda: None) -> None:
    """See to it that this process has a Prefect server: the configured one, or from now on a temporary one.

    Args:
        meanwhile: Called while a temporary server starts, which takes seconds.

    Raises:
        RuntimeError: If it does not start.
    """
    from prefect.context import refresh_global_settings_context
    from prefect.settings import get_current_settings

    global _address
    settings = get_current_settings()
    if settings.api.url or not settings.server.ephemeral.enabled:  # without either, Prefect says what is missing
        return
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    server = _start(port)
    meanwhile()
    _wait_for(server, port, settings.server.ephemeral.startup_timeout_seconds)
    os.environ["PREFECT_API_URL"] = _address = f"http://127.0.0.1:{port}/api"
    refresh_global_settings_context()


def _start(port: int) -> subprocess.Popen[bytes]:
    import prefect

    # uvicorn would put the current folder first on its path
    folder = ["--app-dir", str(Path(prefect.__file__).parents[1])]
    application = [
        *folder,
        "--factory",
        "prefect.server.api.server:create_app",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    command = [sys.executable, "-m", "uvicorn", *application, "--log-level", "error", "--lifespan", "on"]
    server = subprocess.Popen(command, env={**os.environ, **_ROLE})
    # before Prefect registers its own, which still send what they have and so are called before this
    atexit.register(server.terminate)
    quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    subprocess.Popen(
        [sys.executable, "-P", "-c", _GUARD, str(os.getpid()), str(server.pid)], **quiet, start_new_session=True
    )
    return server


def _wait_for(server: subprocess.Popen[bytes], port: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not _answers(port):
        if server.poll() is not None:
            raise RuntimeError(
                f"the temporary Prefect server ended with status {server.returncode}; wanted one that starts, or"
                " PREFECT_API_URL"
            )
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"the temporary Prefect server did not answer within {seconds} s; wanted one that starts, or"
                " PREFECT_API_URL"
            )
        time.sleep(0.05)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    try:
        connection.request("GET", "/api/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
