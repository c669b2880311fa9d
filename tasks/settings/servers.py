"""Where the servers of `lethe up` listen and what they are called: the one place that makes addresses of hosts and
ports, for servers, worker, commands and what people are told.
"""

import ipaddress
import re

from tasks.settings.schema import settings

LOOPBACK = "127.0.0.1"
USER = "lethe"
"""Who asks a guarded server."""
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


@settings
class ServersConfig:
    """Prefect's server, MLflow's server and a Prefect worker."""

    host: str = LOOPBACK
    """Address on which both servers listen. Any but loopback demands a password of whoever asks."""
    names: tuple[str, ...] = ()
    """What browsers and other machines call this machine; the first stands in all addresses. Without one it is
    `host`."""
    prefect_port: int = 4200
    """Port of Prefect's server, 1 to 65535."""
    mlflow_port: int = 5000
    """Port of MLflow's server, 1 to 65535."""
    auth: bool = False
    """Whether a password is demanded on loopback too."""
    pool: str = "lethe"
    """Work pool that the worker asks for flow runs; made, as one of processes, where it is missing."""
    worker: bool = True
    """Whether a worker is started."""

    def __post_init__(self) -> None:
        for name in ("prefect_port", "mlflow_port"):
            if not 1 <= getattr(self, name) <= 65535:
                raise ValueError(f"{name} is {getattr(self, name)}; wanted 1 to 65535")
        if self.prefect_port == self.mlflow_port:
            raise ValueError(f"both servers have port {self.mlflow_port}; wanted two ports")
        if not self.host or not self.pool.strip() or "/" in self.pool or "%" in self.pool:
            raise ValueError(f"host is {self.host!r} and pool {self.pool!r}; wanted an address, and a pool's name")
        for name in self.names:
            if not _NAME.fullmatch(name) and not _is_address(name):
                raise ValueError(f"{name!r} is no name of a machine; wanted one such as lethe.example.org")
        if _is_any(self.host) and not self.names:
            raise ValueError(
                f"nobody can open {self.host}, which stands for all addresses of this machine; wanted what people call"
                " it: --name lethe.example.org"
            )

    @property
    def remote(self) -> bool:
        """Whether other machines can reach the servers."""
        return self.host != "localhost" and not (_is_address(self.host) and ipaddress.ip_address(self.host).is_loopback)

    @property
    def guarded(self) -> bool:
        """Whether the servers demand a password."""
        return self.auth or self.remote

    @property
    def prefect(self) -> str:
        """Address of Prefect's pages."""
        return f"http://{_in_address(self._name)}:{self.prefect_port}"

    @property
    def prefect_api(self) -> str:
        """Address that Prefect's clients and its pages ask."""
        return f"{self.prefect}/api"

    @property
    def mlflow(self) -> str:
        """Address of MLflow's pages, which its clients ask too."""
        return f"http://{_in_address(self._name)}:{self.mlflow_port}"

    @property
    def _name(self) -> str:
        return self.names[0] if self.names else self.host

    def listening(self, port: int) -> str:
        """Return the address at which this machine itself finds a port."""
        return f"http://{LOOPBACK if _is_any(self.host) else _in_address(self.host)}:{port}"

    def origins(self, port: int) -> list[str]:
        """Return the addresses under which a browser has pages of a port."""
        every = (self._name, *self.names, self.host, "localhost", LOOPBACK)
        return list(dict.fromkeys(f"http://{_in_address(name)}:{port}" for name in every if not _is_any(name)))


def clients(config: ServersConfig, password: str | None) -> dict[str, dict[str, str]]:
    """Return the environment in which programs find the servers and are let in, by server.

    Args:
        config: Where the servers are.
        password: That of guarded servers.
    """
    prefect = {"PREFECT_API_URL": config.prefect_api, "PREFECT_UI_URL": config.prefect}
    mlflow = {"MLFLOW_TRACKING_URI": config.mlflow}
    if password:
        prefect["PREFECT_API_AUTH_STRING"] = f"{USER}:{password}"
        mlflow |= {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": password}
    return {"prefect": prefect, "mlflow": mlflow}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_any(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host
