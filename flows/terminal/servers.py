"""`lethe up` and `lethe down`: servers are started when all of them can be, waited for, written down, and ended as they
were written down. Commands find those of their store by themselves, so that nobody has to set an address or a password.
"""

import contextlib
import dataclasses
import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from flows.steps import service_processes, services, temporary_server
from tasks import store
from tasks.execution import serving
from tasks.execution.serving import Serving
from tasks.settings.servers import ServersConfig, clients

LOOK_S = 1.0
"""Seconds between looks at servers that are waited on."""


def bring_up(changes: Mapping[str, Any], say: Callable[[str], None]) -> tuple[Serving, list[str]]:
    """Start what does not run, and wait until it does its work; return what runs now, and the names of what was
    started.

    Args:
        changes: Settings that were asked for, by name; else theirs hold, of servers that run or were killed.
        say: Told what happens.

    Raises:
        ValueError: If they run with other settings, a port is taken, or the like; nothing has been started then.
        RuntimeError: If one does not start; those that were started before it have been ended.
    """
    with store.lock("services"):
        before = serving.read()
        running = service_processes.alive(before) if before else {}
        # killed by whatever means, they are started as they were; only `lethe down` forgets that
        config = dataclasses.replace(before.config if before else ServersConfig(), **changes)
        if before and running:
            _require_same(before.config, config)
        wanted = ["prefect", "mlflow", *(["worker"] if config.worker else [])]
        missing = [name for name in wanted if name not in running]
        if before:  # what one that was killed has left would have its port
            service_processes.end(before, missing)
        services.require_startable(config, missing)
        kept = tuple(running.values())
        mark = before.mark if before and kept else secrets.token_hex(16)
        known = Serving(config=config, mark=mark, services=kept, logs=str(store.growing("logs")))
        return (_start(known, missing, say) if missing else known), missing


def _require_same(running: ServersConfig, wanted: ServersConfig) -> None:
    if running != wanted:
        raise ValueError(
            f"servers run already, at {running.prefect} and {running.mlflow}, with other settings; wanted `lethe down`"
            " first, or `lethe up` without options"
        )


def _start(known: Serving, missing: list[str], say: Callable[[str], None]) -> Serving:
    before = known
    if "mlflow" in missing and not os.environ.get(services.DATABASES["mlflow"]):
        _make_database(remote=known.config.remote)
    try:
        # the worker asks both servers from the first moment on
        for names in ({"prefect", "mlflow"}, {"worker"}):
            with temporary_server.starting() if "prefect" in names.intersection(missing) else contextlib.nullcontext():
                every = services.plans(known.config, known.mark)
                plans = [plan for plan in every if plan.name in names.intersection(missing)]
                for plan in plans:
                    say(f"starting {plan.name} ...")
                    known = _launch(plan, known)
                for plan in plans:
                    by_name = {one.name: one for one in known.services}
                    service_processes.await_ready(plan, by_name[plan.name], known.mark, _log(known, plan.name))
        if known.config.guarded:
            services.require_guarded(known.config)
    except BaseException:
        service_processes.end(known, [name for name in service_processes.ORDER if name in missing])
        serving.write(before) if before.services else serving.forget()
        raise
    services.write_variables(known.config)
    _end_dead(known.config)
    return known


def _end_dead(config: ServersConfig) -> None:
    """Say on the servers, as soon as they are there, which flow runs have ended with those before them: each would keep
    its deployment's slot.
    """
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    from flows.steps.dead_flow_runs import end_dead

    found = clients(config, services.password_of(config))["prefect"]
    settings = {PREFECT_API_URL: found["PREFECT_API_URL"]}
    if auth := found.get("PREFECT_API_AUTH_STRING"):
        settings[PREFECT_API_AUTH_STRING] = auth
    with temporary_settings(settings), contextlib.suppress(httpx.HTTPError):  # the next run of the store says it
        end_dead()


def _launch(plan: services.Plan, known: Serving) -> Serving:
    started = service_processes.start(plan, _log(known, plan.name))
    known = dataclasses.replace(known, services=(*known.services, started))
    serving.write(known)  # whoever is killed now leaves nothing that nobody knows
    return known


def _make_database(*, remote: bool) -> None:
    from tasks import tracking_server

    tracking_server.settle_own_database(remote=remote)


def _log(known: Serving, name: str) -> Path:
    return Path(known.logs) / f"{name}.log"


def take_down() -> list[str]:
    """End all that runs; return the names of what did."""
    with store.lock("services"):
        known = serving.read()
        if known is None:
            return []
        ended = service_processes.end_all(known)
        serving.forget()
        return ended


def wait_on(known: Serving) -> str:
    """Wait until one of the servers has ended, and return its name with its last words."""
    while len(running := service_processes.alive(known)) == len(known.services):
        time.sleep(LOOK_S)
    name = next(one.name for one in known.services if one.name not in running)
    return f"{name} ended{service_processes.last_words(_log(known, name))}; its log: {_log(known, name)}"


def places(known: Serving) -> dict[str, str]:
    """Return what people want to know of servers that run."""
    found = {
        "Prefect": known.config.prefect,
        "MLflow": known.config.mlflow,
        "Worker": f"work pool {known.config.pool}" if known.config.worker else "none",
        "Logs": known.logs,
        "Other programs": f". {serving.folder() / 'client.env'}",
    }
    if known.config.guarded:
        found["Password"] = f"{serving.folder() / 'password'} (of user lethe)"
    return found


def find() -> None:
    """Let this process, and those that it starts, use the servers of the store that run, where nothing else is
    configured: a server of its own beside them would work on the same database.
    """
    known = serving.read()
    running = service_processes.alive(known) if known else {}
    if not known or not running:
        return
    found = clients(known.config, services.password_of(known.config))
    if "mlflow" in running and not os.environ.get("MLFLOW_TRACKING_URI"):
        os.environ.update(found["mlflow"])
    if "prefect" in running and not os.environ.get("PREFECT_API_URL") and not _has_profile():
        os.environ.update(found["prefect"])
        if read := sys.modules.get("prefect.context"):  # with what it read before; else it reads when it is loaded
            read.refresh_global_settings_context()


def _has_profile() -> bool:
    """Return whether Prefect's profile names a server."""
    from prefect.settings import get_current_settings

    with contextlib.suppress(Exception):  # whatever is wrong with it, Prefect says later
        return get_current_settings().api.url is not None
    return False
