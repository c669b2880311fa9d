"""The processes of `lethe up`: Prefect's server, MLflow's server and a worker, each with its command and environment,
and how one knows that it is ready. Passwords stand in environments and private files, never on a command line.
"""

import errno
import importlib.util
import json
import os
import secrets
import socket
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

from tasks import store
from tasks.execution import serving
from tasks.execution.isolation import SAFE_PATH
from tasks.settings.servers import USER, ServersConfig, clients

ANSWER_S = 5.0
"""Seconds that a server has for an answer while it starts; it is asked again as long as it lives."""
NOT_INHERITED = (
    "PREFECT_API_URL PREFECT_UI_URL PREFECT_API_AUTH_STRING PREFECT_API_KEY MLFLOW_TRACKING_URI MLFLOW_REGISTRY_URI"
    " MLFLOW_TRACKING_USERNAME MLFLOW_TRACKING_PASSWORD MLFLOW_TRACKING_TOKEN MLFLOW_LOGGING_LEVEL"
    " PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL PREFECT_SERVER_LOGGING_LEVEL PREFECT_UI_API_URL"
).split()
"""Variables of whoever starts the servers that speak of other servers, or keep a terminal quiet."""
DATABASES = {"prefect": "PREFECT_SERVER_DATABASE_CONNECTION_URL", "mlflow": "MLFLOW_BACKEND_STORE_URI"}
"""Server -> the variable, its own, that names a database in place of the store's. It may hold a password: there is no
option for it, and only that server is told."""
MARK = "LETHE_SERVICES"
"""Variable by which processes of one `lethe up` are known."""
_DIRECT = build_opener(ProxyHandler({}))
"""Asks servers of this machine, which no proxy knows, and whose password none is to know."""
_AUTH = """[mlflow]
default_permission = NO_PERMISSIONS
database_uri = sqlite:///{database}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A process that is to be started."""

    name: str
    command: list[str]
    environment: dict[str, str]
    is_ready: Callable[[], bool]
    """Whether it does its work."""


def require_startable(config: ServersConfig, names: Collection[str]) -> None:
    """Refuse, before anything is started, what could not be.

    Args:
        config: Where the servers are to listen.
        names: Services that are to be started.

    Raises:
        ValueError: If a port is taken, the host is none of this machine, or MLflow cannot ask for passwords or speak to
            its database.
    """
    if config.guarded and importlib.util.find_spec("flask_wtf") is None:
        raise ValueError(
            "MLflow asks for a password only with the package Flask-WTF, which is not installed; wanted"
            " `pip install 'mlflow[auth]'`, or servers on loopback without --auth"
        )
    if "mlflow" in names:
        _require_driver()
    ports = {"prefect": ("Prefect", config.prefect_port), "mlflow": ("MLflow", config.mlflow_port)}
    for name, (title, port) in ports.items():
        if name in names and (fault := _taken(config.host, port)):
            others = (
                other for other in range(port + 1, 65536) if other not in (config.prefect_port, config.mlflow_port)
            )
            free = next((other for other in others if not _taken(config.host, other)), port)
            raise ValueError(
                f"port {port} of {config.host}, for {title}, {fault}; wanted a free one, such as --{name}-port {free},"
                " or an end of what has it"
            )


def _require_driver() -> None:
    """Refuse a database of MLflow's that nothing here speaks to."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    if not (address := os.environ.get(DATABASES["mlflow"])):
        return
    try:
        make_url(address).get_dialect().import_dbapi()
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{DATABASES['mlflow']} names a database that the package {error.name} speaks to, which is not installed;"
            " wanted `pip install 'lethe[postgres]'`, or another driver"
        ) from None
    except (ArgumentError, NoSuchModuleError):
        raise ValueError(
            f"{DATABASES['mlflow']} is no address of a database; wanted one such as postgresql://USER:PASSWORD@HOST/NAME"
        ) from None


def _taken(host: str, port: int) -> str:
    """Return why nothing can listen there, or an empty text."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what just ended is no hindrance
            tried.bind(address)
            tried.listen(1)
    except socket.gaierror:
        raise ValueError(f"{host} is no address of this machine; wanted one, such as 127.0.0.1") from None
    except PermissionError:
        return "is the system's"
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise ValueError(f"{host} is no address of this machine; wanted one, such as 127.0.0.1") from None
        return "is taken by another program"
    return ""


def plans(config: ServersConfig, mark: str) -> list[Plan]:
    """Return what is to be started, in this order.

    Args:
        config: Where it listens.
        mark: Goes into the environment of all of it.
    """
    password = _secret("password") if config.guarded else None
    own = {name: value for name, value in os.environ.items() if name not in {*NOT_INHERITED, *DATABASES.values()}}
    own |= {MARK: mark, "LETHE_HOME": str(store.home())}
    found = clients(config, password)
    every = [_prefect(config, own, password), _mlflow(config, own, password)]
    return [*every, _worker(config, own | found["prefect"] | found["mlflow"], password)] if config.worker else every


def _prefect(config: ServersConfig, own: dict[str, str], password: str | None) -> Plan:
    its_own = {
        "PREFECT_UI_API_URL": config.prefect_api,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(config.origins(config.prefect_port)),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # in memory they would be lost with the server, and the slots of its deployments' runs with them, for good
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    }
    its_own |= _database("prefect")
    if password:
        its_own["PREFECT_SERVER_API_AUTH_STRING"] = f"{USER}:{password}"
    at = config.listening(config.prefect_port)
    command = ["prefect", "server", "start", "--host", config.host, "--port", str(config.prefect_port)]
    return Plan(
        name="prefect",
        command=[sys.executable, "-m", *command],
        environment=own | SAFE_PATH | its_own,
        is_ready=lambda: status(f"{at}/api/health") == HTTPStatus.OK,
    )


def _mlflow(config: ServersConfig, own: dict[str, str], password: str | None) -> Plan:
    origins = config.origins(config.mlflow_port)
    places = [origin.removeprefix("http://") for origin in origins]
    command = ["mlflow", "server", "--host", config.host, "--port", str(config.mlflow_port), "--workers", "1"]
    command += ["--artifacts-destination", (store.home() / "mlflow-artifacts").as_uri()]
    command += ["--allowed-hosts", ",".join(places), "--cors-allowed-origins", ",".join(origins)]
    # its jobs are none of ours, and take processes of their own
    its_own = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    its_own |= _database("mlflow") or {DATABASES["mlflow"]: f"sqlite:///{store.home() / 'mlflow.db'}"}
    if password:
        command += ["--app-name", "basic-auth"]
        its_own |= _passwords(password)
    at = config.listening(config.mlflow_port)
    return Plan(
        name="mlflow",
        command=[sys.executable, "-m", *command],
        environment=own | SAFE_PATH | its_own,
        is_ready=lambda: status(f"{at}/health") == HTTPStatus.OK,
    )


def _database(server: str) -> dict[str, str]:
    """Return the variable of a database that was asked for."""
    name = DATABASES[server]
    return {name: os.environ[name]} if os.environ.get(name) else {}


def _passwords(password: str) -> dict[str, str]:
    """Return where MLflow finds who may ask; who else may do what, its users' database has."""
    file = serving.folder() / "mlflow-auth.ini"
    serving.write_private(file, _AUTH.format(database=serving.folder() / "mlflow-users.db"))
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str(file),
        "MLFLOW_AUTH_ADMIN_USERNAME": USER,
        "MLFLOW_AUTH_ADMIN_PASSWORD": password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": _secret("session-key"),
    }


def _worker(config: ServersConfig, environment: dict[str, str], password: str | None) -> Plan:
    began, name = time.time(), f"{socket.gethostname()} {config.prefect_port}"
    at = f"{config.listening(config.prefect_port)}/api/work_pools/{quote(config.pool)}/workers/filter"
    environment = environment | {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO"}
    command = ["prefect", "worker", "start", "--pool", config.pool, "--name", name, "--install-policy", "never"]
    return Plan(
        name="worker",
        command=[sys.executable, "-m", *command],
        environment=environment,
        is_ready=lambda: any(
            one["name"] == name and _when(one["last_heartbeat_time"]) >= began for one in ask(at, {}, password) or []
        ),
    )


def _when(moment: str | None) -> float:
    return datetime.fromisoformat(moment).timestamp() if moment else 0.0


def _secret(name: str) -> str:
    """Return a secret of this store, made when it is first wanted."""
    file = serving.folder() / name
    if not file.is_file():
        serving.write_private(file, secrets.token_urlsafe(24))
    return file.read_text(encoding="utf-8")


def password_of(config: ServersConfig) -> str | None:
    """Return the password of guarded servers, or None."""
    return _secret("password") if config.guarded else None


def write_variables(config: ServersConfig) -> Path:
    """Write the variables by which other programs find the servers, for a shell to read; return the file."""
    found = clients(config, password_of(config))
    lines = [f"export {name}={value}" for server in found.values() for name, value in server.items()]
    file = serving.folder() / "client.env"
    serving.write_private(file, "\n".join(lines) + "\n")
    return file


def require_guarded(config: ServersConfig) -> None:
    """Look whether servers that are to demand a password do.

    Raises:
        RuntimeError: If one answers without.
    """
    api, runs = config.listening(config.prefect_port), config.listening(config.mlflow_port)
    for name, address in (
        ("Prefect", f"{api}/api/admin/version"),
        ("MLflow", f"{runs}/api/2.0/mlflow/experiments/get?experiment_id=0"),
        ("MLflow", f"{runs}/api/2.0/mlflow-artifacts/artifacts/forget"),
    ):
        if (found := status(address)) != HTTPStatus.UNAUTHORIZED:
            raise RuntimeError(f"{name}'s server answers {found} without a password; wanted 401")


def status(address: str) -> int | None:
    """Return the status with which a server answers, or None where it does not."""
    try:
        with _DIRECT.open(address, timeout=ANSWER_S) as answer:
            return answer.status
    except HTTPError as error:
        error.close()
        return error.code
    except (OSError, HTTPException):
        return None


def ask(address: str, body: dict[str, Any], password: str | None) -> Any:
    """Return what a server answers, or None where it does not or refuses."""
    request = Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    if password:
        request.add_header("Authorization", f"Basic {b64encode(f'{USER}:{password}'.encode()).decode()}")
    try:
        with _DIRECT.open(request, timeout=ANSWER_S) as answer:
            return json.load(answer)
    except (OSError, HTTPException, ValueError):
        return None
