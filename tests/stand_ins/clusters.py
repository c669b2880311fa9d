"""Clusters of two workers on this machine, of processes of their own; each worker takes one stage at a time."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.stand_ins.command import ROOT
from tests.stand_ins.waiting import wait_for

TRIES = 5
BIN = Path(sys.executable).parent
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster that runs."""

    address: str
    """As `--runner` takes it."""
    processes: tuple[int, ...]
    """Those that were started, by number; workers are these or below them."""

    def family(self) -> list[psutil.Process]:
        """Return all its processes."""
        own = [psutil.Process(number) for number in self.processes if psutil.pid_exists(number)]
        return [one for process in own for one in (process, *process.children(recursive=True))]


@contextlib.contextmanager
def cluster(kind: str, folder: Path) -> Iterator[Cluster]:
    """Start a cluster, and end it with all its processes.

    Args:
        kind: `dask` or `ray`.
        folder: For what its processes say; the path must be short, since Ray keeps sockets there.
    """
    port, client = free_port(), free_port()
    commands, address = (_dask(port, folder), port) if kind == "dask" else (_ray(port, client, folder), client)
    started: list[subprocess.Popen[bytes]] = []
    try:
        for number, command in enumerate(commands):
            workers = number + 3 - len(commands)  # Ray's first process is one, Dask's is none
            log = folder / f"{kind}-{number}.log"
            _start(command, log, started, lambda wanted=workers: _count(kind, address) >= wanted)
        own = tuple(process.pid for process in started)
        yield Cluster(address=f"{kind}://127.0.0.1:{address}", processes=own)
    finally:
        end(*(psutil.Process(process.pid) for process in started if process.poll() is None))
        for process in started:
            process.wait(60)


def end(*processes: psutil.Process) -> None:
    """Kill processes with all that they started."""
    family = [one for process in processes for one in (process, *process.children(recursive=True))]
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()


def _start(command: list[str], log: Path, started: list[subprocess.Popen[bytes]], ready: Callable[[], bool]) -> None:
    """Start a process of a cluster and wait until it is ready; one that ends by itself before is started again: Ray's
    give up after 15 s, which a busy machine needs to load them.
    """
    environment = os.environ | QUIET | {"PYTHONPATH": str(ROOT), "LETHE_THREADS": "1", "OMP_NUM_THREADS": "1"}
    for name in ("LETHE_HOME", "PREFECT_API_URL", "PREFECT_LOCAL_STORAGE_PATH", "MLFLOW_TRACKING_URI"):
        environment.pop(name, None)  # what it needs of these comes with the stages
    for _ in range(TRIES):
        with log.open("ab") as said:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=said, stderr=said, start_new_session=True
            )
        started.append(process)
        wait_for(lambda tried=process: tried.poll() is not None or ready(), f"{command[:2]}", every_s=1.0)
        if process.poll() is None:
            return
    raise RuntimeError(f"{command} ended by itself {TRIES} times: {log.read_text()[-2000:]}")


def _dask(port: int, folder: Path) -> list[list[str]]:
    shared = ["--no-dashboard", "--host", "127.0.0.1"]
    worker = [str(BIN / "dask"), "worker", f"tcp://127.0.0.1:{port}", "--nthreads", "1", *shared]
    return [
        [str(BIN / "dask"), "scheduler", "--port", str(port), "--no-show", *shared],
        *([*worker, "--local-directory", str(folder / f"w{number}")] for number in range(2)),
    ]


def _ray(port: int, client: int, folder: Path) -> list[list[str]]:
    start = [str(BIN / "ray"), "start", "--block", "--num-cpus=1", "--object-store-memory=100000000"]
    head = [f"--port={port}", f"--ray-client-server-port={client}", "--include-dashboard=false"]
    return [
        [*start, "--head", "--node-ip-address=127.0.0.1", f"--temp-dir={folder}", *head],
        [*start, f"--address=127.0.0.1:{port}"],
    ]


def _count(kind: str, port: int) -> int:
    """Return how many workers there are, -1 where nobody answers; asked in a process of its own, since clients keep
    threads and connections.
    """
    asked = {
        "dask": "import distributed as d; print(len(d.Client('tcp://127.0.0.1:{}').scheduler_info()['workers']))",
        "ray": "import ray; ray.init('ray://127.0.0.1:{}'); print(sum(n['Alive'] for n in ray.nodes()))",
    }
    command = [sys.executable, "-W", "ignore", "-c", asked[kind].format(port)]
    found = subprocess.run(command, capture_output=True, text=True, env=os.environ | QUIET, timeout=300)
    return int(found.stdout.split()[-1]) if found.returncode == 0 else -1
