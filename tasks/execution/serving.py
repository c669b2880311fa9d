"""What is written down of the servers that serve a store, `LETHE_HOME/services/state.json`: where they listen, and
which processes they are. Whether those run still is looked at where they are started and ended.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks import store
from tasks.settings.servers import ServersConfig


@dataclass(frozen=True, kw_only=True)
class Service:
    """A process that was started."""

    name: str
    """`prefect`, `mlflow` or `worker`."""
    process: int
    """Its number, and that of its session."""
    started: float
    """When it started, seconds of the epoch: another process may have its number later."""


@dataclass(frozen=True, kw_only=True)
class Serving:
    """Servers that were started together."""

    config: ServersConfig
    mark: str
    """Stands in the environment of their processes, and of those that they start."""
    services: tuple[Service, ...]
    logs: str
    """Folder of their logs."""


def folder() -> Path:
    """Return where everything of the servers lies, 0700; made."""
    place = store.home() / "services"
    place.mkdir(mode=0o700, exist_ok=True)
    return place


def read() -> Serving | None:
    """Return what is written down, or None where nothing is, or it is damaged."""
    try:
        found = json.loads((store.home() / "services" / "state.json").read_text(encoding="utf-8"))
        config = found["config"] | {"names": tuple(found["config"]["names"])}
        services = tuple(Service(**service) for service in found["services"])
        return Serving(config=ServersConfig(**config), mark=found["mark"], services=services, logs=found["logs"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(serving: Serving) -> None:
    """Write it down."""
    write_private(folder() / "state.json", json.dumps(asdict(serving), indent=1))


def forget() -> None:
    """Say that nothing runs."""
    (folder() / "state.json").unlink(missing_ok=True)


def write_private(file: Path, text: str) -> None:
    """Write a file that is its owner's alone from the first moment on, whole or not at all."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
    temporary.replace(file)


def is_own(address: str) -> bool:
    """Return whether an address is that of a server of this store, which serves the store's own database."""
    serving = read()
    return serving is not None and address in (serving.config.mlflow, serving.config.prefect_api)


def is_remote() -> bool:
    """Return whether other machines may be asking for this store's runs now."""
    serving = read()
    return serving is not None and serving.config.remote and any(store.alive(one.process) for one in serving.services)
