"""Where a flow's stages run: the one place that makes Prefect's task runners of addresses.

On a cluster, Dask's or Ray's, a stage is what it is on one machine: a process of its own with a thread count, a time
limit, a cache key and a lock, whose progress is seen where its flow runs. What it needs for that travels with it, see
`tasks.execution.surroundings`. All machines see the store, the texts and the models under the same paths, and have the
same Lethe.
"""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from prefect.context import FlowRunContext
from prefect.settings import get_current_settings
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from tasks import tracking
from tasks.artifacts import BadInputError
from tasks.execution import isolation, surroundings
from tasks.settings.runner import LOCAL, RunnerConfig

SIDE_BY_SIDE = 2
"""Stages that run at one time on one machine; those that can run beside others take that share of the cores."""
PACKAGES = {"dask": "prefect_dask", "ray": "prefect_ray"}
"""Kind of cluster -> what speaks with it."""
ANSWER_S = 10.0
"""Seconds that a cluster has to take up a connection."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
HERE = RunnerConfig(address=LOCAL)
_chosen: ContextVar[RunnerConfig] = ContextVar("lethe_runner", default=HERE)


def current() -> RunnerConfig:
    """Return where stages of flows run that say nothing themselves."""
    return _chosen.get()


def settled(config: RunnerConfig) -> RunnerConfig:
    """Return what a flow was given, or what holds around it where that says nothing."""
    return current() if config == RunnerConfig() else replace(config, address=config.address or current().address)


@contextmanager
def chosen(config: RunnerConfig) -> Iterator[None]:
    """Let flows of the block run their stages there, where they say nothing themselves.

    Raises:
        BadInputError: If it is a cluster that cannot be used.
    """
    if config != current():
        require_usable(config)
    before = _chosen.set(config)
    try:
        with surroundings.kept_apart(config.bitwise):
            yield
    finally:
        _chosen.reset(before)


@contextmanager
def submitting(config: RunnerConfig) -> Iterator[None]:
    """Let the stages of this flow run go where it was told; within a flow run alone."""
    with chosen(config):
        if not config.is_cluster:
            with surroundings.kept_here():
                yield
            return
        around = FlowRunContext.get()
        with (
            surroundings.sent(isolation.cores() if config.bitwise else 0),
            task_runner(config) as runner,
            around.model_copy(update={"task_runner": runner}),
        ):
            yield


def task_runner(config: RunnerConfig) -> TaskRunner[Any]:
    """Make Prefect's task runner for an address."""
    if config.kind == "dask":
        from prefect_dask import DaskTaskRunner

        return DaskTaskRunner(address=f"tcp://{config.address.partition('://')[2]}")
    if config.kind == "ray":
        from prefect_ray import RayTaskRunner

        # what its workers say is in their own logs
        return RayTaskRunner(
            address=config.address, init_kwargs={"log_to_driver": False, "logging_level": logging.ERROR}
        )
    return ThreadPoolTaskRunner(max_workers=SIDE_BY_SIDE)


def require_usable(config: RunnerConfig) -> None:
    """Refuse a cluster that stages cannot be sent to, before anything is begun.

    Raises:
        BadInputError: If what speaks with it is not installed, nobody answers, or its machines would not reach the
            servers that this one uses.
    """
    if not config.is_cluster:
        return
    package = PACKAGES[config.kind]
    if find_spec(package) is None:
        raise BadInputError(
            f"--runner {config.address}: {package.replace('_', '-')} is not installed; wanted it, here and on the"
            f" workers: pip install 'lethe[{config.kind}]'"
        )
    try:
        socket.create_connection((config.host, config.port), ANSWER_S).close()
    except OSError as error:
        raise BadInputError(
            f"--runner {config.address}: nobody answers there ({error.strerror or error}); wanted a cluster that runs"
        ) from None
    if config.is_remote:
        _require_servers(config)


def _require_servers(config: RunnerConfig) -> None:
    """Refuse servers of this machine alone: workers on others tell them of their runs."""
    servers = {"PREFECT_API_URL": get_current_settings().api.url or "", "MLFLOW_TRACKING_URI": tracking.tracking_uri()}
    for name, address in servers.items():
        if not address.startswith("http") or urlsplit(address).hostname in LOOPBACK:
            raise BadInputError(
                f"--runner {config.address}: its machines cannot reach what {name} says"
                f" ({'a server of this machine' if address.startswith('http') else 'no server'}); wanted servers that"
                " they can reach, such as those of lethe up --host"
            )
