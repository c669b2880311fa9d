"""Claims: every flow has the parameter `runner`, in its form too; flows within a flow run their stages where it does
unless they say otherwise; a cluster that cannot be used is refused in one plain line before anything is begun: what is
not installed, where nobody answers, servers that its machines do not reach. Real clusters: `tests/faults`.
"""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.callables import parameter_schema

from flows.steps import runners
from flows.steps.flow_runs import flow
from tasks.artifacts import BadInputError
from tasks.execution import surroundings
from tasks.settings.runner import RunnerConfig
from tests.stand_ins.command import called

NUMERIC = RunnerConfig(reproducible="numeric")


@flow(name="within", log_prints=False)
def within() -> tuple[str, bool]:
    """Say where its stages run, and whether bits count."""
    return runners.current().reproducible, surroundings.is_bitwise()


@flow(name="around", log_prints=False)
def around(own: bool = False) -> tuple[tuple[str, bool], ...]:
    """Ask the same of a flow within this one.

    Args:
        own: Whether that one says something itself.
    """
    named = {"runner": RunnerConfig(address="local")} if own else {}
    return (runners.current().reproducible, surroundings.is_bitwise()), within(**named)


@pytest.fixture
def port() -> Iterator[int]:
    """Somebody answers there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_flow_within_a_flow_runs_where_that_does(flow_home: Path) -> None:
    assert around() == (("auto", True), ("auto", True))
    assert around(runner=NUMERIC) == (("numeric", False), ("numeric", False))
    assert around(own=True, runner=NUMERIC) == (("numeric", False), ("auto", True))
    assert runners.current() == runners.HERE


def test_the_parameter_is_in_the_form_with_its_words() -> None:
    shown = around.parameters.model_dump_for_openapi()
    assert shown["properties"]["runner"]["description"] == "Where the stages run."
    assert set(shown["definitions"]["RunnerConfig"]["properties"]) == {"address", "reproducible"}
    assert shown["properties"].keys() == {"own", "runner"}
    assert within.parameters.properties["runner"]["description"] == "Where the stages run."
    assert around.with_options(name="renamed").parameters == around.parameters
    assert parameter_schema(around) == around.parameters  # which the form of a deployment is made of


def test_what_a_deployment_writes_is_read(flow_home: Path) -> None:
    read = around.validate_parameters({"runner": {"address": "dask://head:8786"}})
    assert read["runner"] == RunnerConfig(address="dask://head:8786")


def test_on_one_machine_two_stages_run_side_by_side() -> None:
    runner = runners.task_runner(RunnerConfig())
    assert isinstance(runner, ThreadPoolTaskRunner)
    assert runner._max_workers == runners.SIDE_BY_SIDE == 2
    assert isinstance(around.task_runner, ThreadPoolTaskRunner)


@pytest.mark.parametrize("kind", ["dask", "ray"])
def test_what_is_not_installed_is_named(kind: str, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners, "find_spec", lambda name: None)
    with pytest.raises(BadInputError, match=rf"prefect-{kind} is not installed; .* pip install 'lethe\[{kind}\]'"):
        runners.require_usable(RunnerConfig(address=f"{kind}://127.0.0.1:{port}"))


def test_where_nobody_answers_is_said_before_anything_begins(
    lethe_home: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "find_spec", lambda name: object())
    runners.require_usable(RunnerConfig(address=f"dask://127.0.0.1:{port}"))
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = closed.getsockname()[1]
    with pytest.raises(BadInputError, match=r"nobody answers there \(.*\); wanted a cluster that runs"):
        runners.require_usable(RunnerConfig(address=f"dask://127.0.0.1:{free}"))
    ended = called("demo", "--runner", f"dask://127.0.0.1:{free}", home=lethe_home)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"lethe: --runner dask://127.0.0.1:{free}: nobody answers there")
    ended = called("demo", "--runner", "cloud://9", home=lethe_home)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "lethe: runner cloud://9: wanted local, dask://HOST:PORT or ray://HOST:PORT\n"


@pytest.mark.parametrize(
    ("api", "tracking", "said"),
    [
        ("", "http://head:5000", r"PREFECT_API_URL says \(no server\)"),
        ("http://127.0.0.1:4200/api", "http://head:5000", r"PREFECT_API_URL says \(a server of this machine\)"),
        ("http://head:4200/api", "", r"MLFLOW_TRACKING_URI says \(no server\)"),
        ("http://head:4200/api", "http://localhost:5000", r"MLFLOW_TRACKING_URI says \(a server of this machine\)"),
        ("http://head:4200/api", "http://head:5000", ""),
    ],
)
def test_machines_of_a_cluster_must_reach_the_servers(
    lethe_home: Path, monkeypatch: pytest.MonkeyPatch, api: str, tracking: str, said: str
) -> None:
    monkeypatch.setattr(runners, "find_spec", lambda name: object())
    monkeypatch.setattr(runners.socket, "create_connection", lambda *arguments: socket.socket())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    with temporary_settings({PREFECT_API_URL: api or None}):
        if not said:
            runners.require_usable(RunnerConfig(address="ray://head:10001"))
            return
        with pytest.raises(BadInputError, match=said):
            runners.require_usable(RunnerConfig(address="ray://head:10001"))
