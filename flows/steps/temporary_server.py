"""The Prefect server of a command where none is configured: it starts with the command's flows and ends with the
command. It is waited for as long as it lives, and when it dies the command ends with a line that says so.

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
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from filelock import FileLock

from flows.steps import interruption
from tasks import store
from tasks.execution import isolation
from tasks.execution.isolation import SAFE_PATH

ANSWER_S = 5.0
"""Seconds that the server may take for an answer while it starts; it is asked again as long as it lives."""
REASON_CHARACTERS = 200
"""How much of what a server said last is repeated."""
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
_ending = False
"""Whether this process itself ends its server."""


def is_temporary(address: str | None) -> bool:
    """Return whether an API's address is that of this process' own server, which nobody can reach any more when the
    command has ended.
    """
    return address is not None and address == _address


def database_file(address: str) -> Path | None:
    """Return the file of a SQLite database by Prefect's address of it, or None where it is something else."""
    kind, _, place = address.partition(":///")
    return Path(place) if kind.startswith("sqlite") and place and place != ":memory:" else None


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
    said = tempfile.TemporaryFile()  # noqa: SIM115 - as long as this process
    with starting():
        server = _start(port, said)
        meanwhile()
        _wait_for(server, port, said)
    threading.Thread(target=_watch, args=(server, said), name="lethe-server", daemon=True).start()
    os.environ["PREFECT_API_URL"] = _address = f"http://127.0.0.1:{port}/api"
    refresh_global_settings_context()


@contextlib.contextmanager
def starting() -> Iterator[None]:
    """Let no other server of this Prefect home start while the block runs: each brings Prefect's database up to date,
    and of two that do so at once one dies.
    """
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    database = settings.server.database.connection_url
    file = database_file(database.get_secret_value()) if database else None
    if file and file.is_file():  # a flow's errors name files
        store.keep_private(file)
    settings.home.mkdir(parents=True, exist_ok=True)
    with FileLock(settings.home / "lethe-server.lock", thread_local=False):
        yield


def _start(port: int, said: IO[bytes]) -> subprocess.Popen[bytes]:
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
    with interruption.held():  # else a server could be there that nobody knows of and ends
        # in a session of its own: what ends the command must not end it first, since it is told of that
        server = subprocess.Popen(
            command,
            env={**os.environ, **_ROLE},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        # before Prefect registers its own, which still send what they have and so are called before this
        atexit.register(_end, server)
        quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        subprocess.Popen(
            [sys.executable, "-P", "-c", _GUARD, str(os.getpid()), str(server.pid)], **quiet, start_new_session=True
        )
    return server


def _end(server: subprocess.Popen[bytes]) -> None:
    global _ending
    _ending = True
    server.terminate()


def _wait_for(server: subprocess.Popen[bytes], port: int, said: IO[bytes]) -> None:
    while not _answers(port):
        if server.poll() is not None:
            raise RuntimeError(_death(server, said))
        time.sleep(0.05)


def _watch(server: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    """End the command if its server dies before it: without one no stage can be begun or ended."""
    server.wait()
    if not _ending:
        isolation.abort()
        interruption.break_off(_death(server, said))


def _death(server: subprocess.Popen[bytes], said: IO[bytes]) -> str:
    """Say in one line that a server is dead, and the last that it said."""
    said.seek(0)
    lines = said.read().decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")[:REASON_CHARACTERS]
    return (
        f"the temporary Prefect server ended with status {server.returncode}{last and f' ({last})'}; wanted one that"
        " runs, or PREFECT_API_URL"
    )


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    try:
        connection.request("GET", "/api/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
