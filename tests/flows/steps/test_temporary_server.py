"""The Prefect server that a command brings where none is configured."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

from flows.steps import temporary_server
from flows.steps.prefect_ui import prefect_place
from flows.steps.review import require_server
from tests.stand_ins.command import ROOT, environment

SERVE = """
import sys
from flows.steps import temporary_server
from flows.terminal import environment
environment.prepare()
temporary_server.require(meanwhile=lambda: print("meanwhile"))
from prefect.settings import get_current_settings
print(get_current_settings().api.url, flush=True)
sys.stdin.read()
"""


def serving(home: Path, **changes: str) -> subprocess.Popen[str]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [sys.executable, "-c", SERVE], cwd=ROOT, env=environment(home, **changes), text=True, **pipes
    )


@pytest.mark.parametrize(
    "end", [lambda process: process.stdin.close(), lambda process: process.kill()], ids=["by itself", "killed"]
)
def test_it_answers_while_its_command_runs_and_ends_with_it(
    end: Callable[[subprocess.Popen[str]], None], tmp_path: Path
) -> None:
    with serving(tmp_path / "lethe") as process:
        try:
            said = [process.stdout.readline().strip() for _ in range(2)]
            assert said[0] == "meanwhile", process.stderr.read()
            assert httpx.get(f"{said[1]}/health", timeout=30).status_code == 200
            (server,) = [
                child
                for child in psutil.Process(process.pid).children()
                if "prefect.server.api.server:create_app" in child.cmdline()
            ]
            end(process)
            assert psutil.wait_procs([server], timeout=30)[1] == []
        finally:
            process.kill()


def test_one_that_cannot_start_is_an_error_that_says_so(tmp_path: Path) -> None:
    with serving(
        tmp_path / "lethe", PREFECT_API_DATABASE_CONNECTION_URL=f"sqlite+aiosqlite:///{tmp_path}/nowhere/prefect.db"
    ) as process:
        _, error = process.communicate(timeout=180)
    assert process.returncode == 1
    assert (
        "RuntimeError: the temporary Prefect server ended with status 3; wanted one that starts, or PREFECT_API_URL"
        in error
    )


def test_where_one_is_configured_none_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary_server, "_start", lambda port: pytest.fail("a server was started"))
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:4200/api"}):
        temporary_server.require()
        assert get_current_settings().api.url == "http://127.0.0.1:4200/api"
    assert "PREFECT_API_URL" not in os.environ


def test_nobody_is_sent_to_a_server_that_ends_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "http://127.0.0.1:8123/api"
    with temporary_settings({PREFECT_API_URL: address}):
        assert prefect_place("1", "blue") == "http://127.0.0.1:8123/runs/flow-run/1"
        require_server()
        monkeypatch.setattr(temporary_server, "_address", address)
        assert (
            prefect_place("1", "blue")
            == "http://127.0.0.1:4200/runs/flow-run/1 (run blue; start `prefect server start` first)"
        )
        with pytest.raises(ValueError, match="needs a Prefect server that stays up"):
            require_server()
