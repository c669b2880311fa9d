"""Claims: the Prefect server that a command brings where none is configured is awaited as long as it lives, ends with
its command, and ends that when it dies.
"""

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
from flows.steps.forms import require_server
from flows.steps.prefect_ui import prefect_place
from tests.stand_ins.command import ROOT, environment
from tests.stand_ins.waiting import end_of

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


def serving(home: Path, *, new: bool = False, **changes: str) -> subprocess.Popen[str]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [sys.executable, "-c", SERVE], cwd=ROOT, env=environment(home, new=new, **changes), text=True, **pipes
    )


def server_of(process: subprocess.Popen[str]) -> psutil.Process:
    children = psutil.Process(process.pid).children()
    (server,) = [child for child in children if "prefect.server.api.server:create_app" in child.cmdline()]
    return server


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
            server = server_of(process)
            end(process)
            assert psutil.wait_procs([server], timeout=30)[1] == []
        finally:
            process.kill()


@pytest.mark.slow
def test_its_start_is_awaited_as_long_as_it_lives(tmp_path: Path) -> None:
    """On a machine that has much else to do it takes minutes; Prefect's own limit would be over at once here."""
    with serving(tmp_path / "lethe", PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="1") as process:
        process.stdin.close()
        ended = end_of(process)
    assert (ended.returncode, ended.stdout.splitlines()[0]) == (0, "meanwhile"), ended.stderr


@pytest.mark.slow
def test_those_that_start_at_once_in_a_new_home_all_start(tmp_path: Path) -> None:
    """Each brings Prefect's database up to date, and of two that do so at the same time one dies."""
    processes = [serving(tmp_path / "lethe", new=True) for _ in range(3)]
    for process in processes:
        process.stdin.close()
    ended = [end_of(process) for process in processes]
    assert [process.returncode for process in ended] == [0, 0, 0], "\n".join(process.stderr for process in ended)


@pytest.mark.slow
def test_one_that_cannot_start_is_an_error_that_says_so(tmp_path: Path) -> None:
    with serving(
        tmp_path / "lethe", PREFECT_API_DATABASE_CONNECTION_URL=f"sqlite+aiosqlite:///{tmp_path}/nowhere/prefect.db"
    ) as process:
        ended = end_of(process)
    assert ended.returncode == 1
    error = ended.stderr.splitlines()[-1]
    assert error.startswith("RuntimeError: the temporary Prefect server ended with status 3")
    assert error.endswith("; wanted one that runs, or PREFECT_API_URL")


@pytest.mark.slow
def test_one_that_dies_ends_its_command(tmp_path: Path) -> None:
    with serving(tmp_path / "lethe") as process:
        try:
            assert process.stdout.readline() == "meanwhile\n", process.stderr.read()
            process.stdout.readline()  # its address: it is watched from now on
            server_of(process).kill()
            ended = end_of(process)  # though it waits for its input
        finally:
            process.kill()
    assert ended.returncode != 0
    # it is woken; if what it does at its end takes too long, it is ended by force, with the reason
    assert "KeyboardInterrupt" in ended.stderr or "the temporary Prefect server ended with status" in ended.stderr


def test_where_one_is_configured_none_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary_server, "_start", lambda *port: pytest.fail("a server was started"))
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
        assert prefect_place("1", "blue") == "http://127.0.0.1:4200/runs/flow-run/1 (run blue; start `lethe up` first)"
        with pytest.raises(ValueError, match="needs a Prefect server that stays up"):
            require_server()
