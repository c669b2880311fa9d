"""Claims: servers are started together or not at all, again they run already, and what has died is started anew, as it
was; other settings are refused while they run; commands find those that run, and nothing that the user has set is
changed. Web servers stand for the real ones, which tests/flows/commands/test_servers.py has.
"""

import contextlib
import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from prefect.settings import get_current_settings

from flows.steps import dead_flow_runs, service_processes, services, temporary_server
from flows.steps.services import MARK, Plan
from flows.terminal import servers
from tasks.execution import serving
from tasks.settings.servers import ServersConfig
from tests.stand_ins.waiting import wait_for

SERVE = """
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


def stand_ins(config: ServersConfig, mark: str, code: str = SERVE) -> list[Plan]:
    found = []
    for name, port in (("prefect", config.prefect_port), ("mlflow", config.mlflow_port), ("worker", 0)):
        at = f"http://127.0.0.1:{port}/"
        found.append(
            Plan(
                name=name,
                command=[sys.executable, "-c", code, str(port)],
                environment={**os.environ, MARK: mark},
                is_ready=lambda at=at, port=port: port == 0 or services.status(at) == 200,
            )
        )
    return found


@pytest.fixture(autouse=True)
def replaced(lethe_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(services, "plans", stand_ins)
    monkeypatch.setattr(servers, "_make_database", lambda *, remote: None)
    monkeypatch.setattr(temporary_server, "starting", contextlib.nullcontext)
    for name in services.NOT_INHERITED:
        monkeypatch.delenv(name, raising=False)
    yield
    servers.take_down()


@pytest.fixture
def ports() -> dict[str, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return {"prefect_port": one.getsockname()[1], "mlflow_port": other.getsockname()[1]}


def processes(known: serving.Serving) -> dict[str, int]:
    return {one.name: one.process for one in known.services}


def test_up_twice_says_that_they_run_and_down_twice_that_nothing_does(ports: dict[str, int]) -> None:
    said: list[str] = []
    known, started = servers.bring_up(ports, said.append)
    assert (started, list(processes(known))) == (["prefect", "mlflow", "worker"],) * 2
    assert said == [f"starting {name} ..." for name in started]
    assert servers.bring_up({}, said.append) == (known, [])
    assert servers.bring_up(ports, said.append) == (known, [])
    assert serving.read() == known
    assert servers.take_down() == ["worker", "mlflow", "prefect"]
    assert servers.take_down() == []
    assert serving.read() is None
    assert [number for number in processes(known).values() if psutil.pid_exists(number)] == []


def test_other_settings_are_refused_while_they_run(ports: dict[str, int]) -> None:
    known, _ = servers.bring_up(ports, str)
    with pytest.raises(ValueError, match=r"servers run already, at .*; wanted `lethe down` first"):
        servers.bring_up({"pool": "other"}, str)
    assert serving.read() == known


def test_what_has_died_is_started_anew_and_the_rest_stays(ports: dict[str, int]) -> None:
    known, _ = servers.bring_up(ports, str)
    psutil.Process(processes(known)["mlflow"]).kill()
    assert re.fullmatch(r"mlflow ended( \(.*\))?; its log: .*mlflow\.log", servers.wait_on(known))
    again, started = servers.bring_up({}, str)
    assert started == ["mlflow"]
    assert {name for name in processes(again) if processes(again)[name] != processes(known)[name]} == {"mlflow"}


def test_after_a_loss_of_power_all_are_started_as_they_were(ports: dict[str, int]) -> None:
    known, _ = servers.bring_up({**ports, "pool": "nightly"}, str)
    for process in processes(known).values():
        psutil.Process(process).kill()
    wait_for(lambda: not service_processes.alive(known), "their end")
    again, started = servers.bring_up({}, str)
    assert (again.config, started) == (known.config, ["prefect", "mlflow", "worker"])
    servers.take_down()
    assert servers.bring_up(ports, str)[0].config.pool != "nightly", "what was ended is forgotten"


def test_new_servers_are_told_of_flow_runs_that_ended_with_the_old_ones(
    ports: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def gone() -> None:
        asked.append(get_current_settings().api.url)
        raise httpx.ConnectError("gone again")

    monkeypatch.setattr(dead_flow_runs, "end_dead", gone)
    servers.bring_up(ports, str)
    assert asked == [ServersConfig(**ports).prefect_api], "what fails there is said by the next run"


def test_a_taken_port_is_named_and_nothing_is_started(ports: dict[str, int]) -> None:
    with (
        socket.create_server(("127.0.0.1", ports["mlflow_port"])),
        pytest.raises(ValueError, match=f"port {ports['mlflow_port']} of 127.0.0.1, for MLflow, is taken"),
    ):
        servers.bring_up(ports, lambda line: pytest.fail(line))
    assert serving.read() is None


def test_one_that_does_not_start_is_named_and_the_others_are_ended(
    ports: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def plans(config: ServersConfig, mark: str) -> list[Plan]:
        prefect, _, worker = stand_ins(config, mark)
        return [prefect, stand_ins(config, mark, "raise SystemExit('no room left')")[1], worker]

    monkeypatch.setattr(services, "plans", plans)
    with pytest.raises(RuntimeError, match=r"mlflow did not start \(no room left\)"):
        servers.bring_up(ports, str)
    assert serving.read() is None
    with socket.create_server(("127.0.0.1", ports["prefect_port"])):
        pass


def test_commands_find_servers_that_run(ports: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_has_profile", lambda: False)
    with monkeypatch.context() as patch:
        patch.setattr(os, "environ", dict(os.environ))
        servers.find()
        assert "MLFLOW_TRACKING_URI" not in os.environ
    servers.bring_up(ports, str)
    for own, wanted in (
        ({}, (f"http://127.0.0.1:{ports['mlflow_port']}", f"http://127.0.0.1:{ports['prefect_port']}/api")),
        (
            {"MLFLOW_TRACKING_URI": "sqlite:///a.db", "PREFECT_API_URL": "http://b/api"},
            ("sqlite:///a.db", "http://b/api"),
        ),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(os, "environ", os.environ | own)
            servers.find()
            assert (os.environ["MLFLOW_TRACKING_URI"], os.environ["PREFECT_API_URL"]) == wanted
            assert "MLFLOW_TRACKING_PASSWORD" not in os.environ


def test_a_profile_of_prefects_goes_before_them(ports: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_has_profile", lambda: True)
    servers.bring_up(ports, str)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    servers.find()
    assert "PREFECT_API_URL" not in os.environ
    assert os.environ["MLFLOW_TRACKING_URI"].endswith(str(ports["mlflow_port"]))
