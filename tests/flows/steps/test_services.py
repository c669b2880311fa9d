"""Claims: a taken port, a host of another machine and a missing password check are named before anything starts; no
secret stands on a command line, and each lies in a private file; servers are told of each other's addresses from one
place; servers that are to demand a password and do not are refused; what is asked goes past every proxy, with the
password where there is one, and whatever comes back is no error.
"""

import http.server
import importlib.util
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.steps import services
from tasks.settings.servers import ServersConfig

ANY = "0.0.0.0"  # noqa: S104 - nothing is bound to it
BOTH = ("prefect", "mlflow")


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def with_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize(("name", "title"), [("prefect", "Prefect"), ("mlflow", "MLflow")])
def test_a_taken_port_is_named_with_its_option_and_a_free_one(host: str, name: str, title: str, taken: int) -> None:
    config = ServersConfig(host=host, **({"prefect_port": free(), "mlflow_port": free()} | {f"{name}_port": taken}))
    with pytest.raises(ValueError, match=f"port {taken} of {host}, for {title}, is taken by another program") as found:
        services.require_startable(config, BOTH)
    other = int(str(found.value).partition(f"--{name}-port ")[2].partition(",")[0])
    with socket.create_server(("127.0.0.1", other)):
        assert other != taken
    services.require_startable(config, [one for one in BOTH if one != name])  # which is not to be started


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_a_host_of_another_machine_is_refused(host: str, with_passwords: None) -> None:
    with pytest.raises(ValueError, match=f"{host} is no address of this machine"):
        services.require_startable(ServersConfig(host=host, prefect_port=free(), mlflow_port=free()), BOTH)


def test_without_what_asks_for_passwords_guarded_servers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"Flask-WTF, which is not installed; wanted `pip install 'mlflow\[auth\]'`"):
        services.require_startable(ServersConfig(auth=True), BOTH)


def by_name(config: ServersConfig) -> dict[str, services.Plan]:
    return {plan.name: plan for plan in services.plans(config, "mark")}


def test_no_secret_stands_on_a_command_line_and_each_lies_in_a_private_file(
    lethe_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_KEY", "of another server")
    found = by_name(ServersConfig(host=ANY, names=("lethe.example.org",)))
    place = lethe_home / "services"
    secret = {name: (place / name).read_text() for name in ("password", "session-key")}
    assert len(set(secret.values())) == 2
    assert min(map(len, secret.values())) >= 32
    assert [word for plan in found.values() for word in plan.command for one in secret.values() if one in word] == []
    assert secret["password"] not in (place / "mlflow-auth.ini").read_text()
    services.write_variables(ServersConfig(auth=True))
    assert {file.name: file.stat().st_mode & 0o777 for file in place.iterdir()} == dict.fromkeys(
        ["client.env", "mlflow-auth.ini", "password", "session-key"], 0o600
    )
    password = secret["password"]
    assert found["prefect"].environment["PREFECT_SERVER_API_AUTH_STRING"] == f"lethe:{password}"
    assert found["mlflow"].environment["MLFLOW_AUTH_ADMIN_PASSWORD"] == password
    assert found["worker"].environment["PREFECT_API_AUTH_STRING"] == f"lethe:{password}"
    assert "--app-name" in found["mlflow"].command
    assert [plan.name for plan in found.values() if "PREFECT_API_KEY" in plan.environment] == []
    assert by_name(ServersConfig(auth=True))["mlflow"].environment["MLFLOW_AUTH_ADMIN_PASSWORD"] == password


def test_addresses_come_from_the_settings_alone(lethe_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in services.NOT_INHERITED:
        monkeypatch.setenv(name, "http://elsewhere")
    found = by_name(ServersConfig(names=("lethe",), prefect_port=4300, mlflow_port=5300))
    worker = found["worker"].environment
    assert found["prefect"].environment["PREFECT_UI_API_URL"] == "http://lethe:4300/api" == worker["PREFECT_API_URL"]
    assert worker["MLFLOW_TRACKING_URI"] == "http://lethe:5300"
    words = found["mlflow"].command
    assert words[words.index("--allowed-hosts") + 1] == "lethe:5300,127.0.0.1:5300,localhost:5300"
    assert found["mlflow"].environment["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{lethe_home}/mlflow.db"
    assert [plan.name for plan in found.values() if "http://elsewhere" in plan.environment.values()] == []
    assert {plan.environment["LETHE_HOME"] for plan in found.values()} == {str(lethe_home)}
    assert "worker" not in by_name(ServersConfig(worker=False))
    assert not (lethe_home / "services").joinpath("password").exists()


@pytest.mark.parametrize("open_port", [4200, 5000])
def test_a_server_that_answers_without_its_password_is_refused(open_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "status", lambda address: 200 if f":{open_port}/" in address else 401)
    with pytest.raises(RuntimeError, match="answers 200 without a password; wanted 401"):
        services.require_guarded(ServersConfig(auth=True))
    monkeypatch.setattr(services, "status", lambda address: 401)
    services.require_guarded(ServersConfig(auth=True))


def test_leases_on_slots_outlive_prefects_server(lethe_home: Path) -> None:
    kept = by_name(ServersConfig())["prefect"].environment["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"]
    assert importlib.import_module(kept).ConcurrencyLeaseStorage().storage_path.name, "on disk"


def test_servers_are_asked_past_every_proxy(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, str | None]] = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append((self.path, self.headers["Authorization"]))
            self.send_response(401 if self.path == "/shut" else 200)
            self.end_headers()
            self.wfile.write({"/list": b"[1]", "/odd": b"<html>"}.get(self.path, b""))

        do_POST = do_GET

        def log_message(self, *words: object) -> None:
            pass

    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{taken}")
    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        at = f"http://127.0.0.1:{web.server_port}"
        assert [services.status(f"{at}/{page}") for page in ("open", "shut")] == [200, 401]
        assert [services.ask(f"{at}/{page}", {}, "swordfish") for page in ("list", "odd", "shut")] == [[1], None, None]
        web.shutdown()
    assert services.status(at) is None
    assert services.ask(at, {}, None) is None
    assert {said for _, said in heard} == {None, "Basic bGV0aGU6c3dvcmRmaXNo"}


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql+pg8000://lethe:hidden@localhost/runs", "package pg8000"),
        ("nothing://lethe:hidden@localhost/runs", "no address of a database"),
        ("hidden", "no address of a database"),
    ],
)
def test_a_database_that_nothing_speaks_to_is_refused_before_a_server_starts(
    lethe_home: Path, monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    monkeypatch.setenv(services.DATABASES["mlflow"], address)
    with pytest.raises(ValueError, match=said) as refused:
        services.require_startable(ServersConfig(worker=False), ["mlflow"])
    assert "hidden" not in str(refused.value)


def test_only_its_server_is_told_of_a_database(lethe_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, variable in services.DATABASES.items():
        monkeypatch.setenv(variable, f"postgresql://{name}")
    told = {
        plan.name: set(services.DATABASES.values()) & set(plan.environment)
        for plan in services.plans(ServersConfig(), "m")
    }
    assert told == {"worker": set()} | {name: {variable} for name, variable in services.DATABASES.items()}
