"""How the processes of `lethe up` are started, known again and ended. A process counts as one of them by its number,
the time when it started and a mark in its environment: another that has got its number is never touched.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from flows.steps.services import MARK, Plan
from tasks.execution import serving
from tasks.execution.serving import Service, Serving

GRACE_S = 20.0
"""Seconds that a process has to end by itself: a worker tells its server of the runs that end with it."""
ORDER = ("worker", "mlflow", "prefect")
"""How services are ended."""
CLOCK_S = 2.0
"""How far two readings of one start time may lie apart: the machine's clock may have been set meanwhile."""
REASON_CHARACTERS = 200
"""How much of what a process said last is repeated."""


def start(plan: Plan, log: Path) -> Service:
    """Start a process in the background, in a session of its own: what ends the terminal does not end it."""
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))
    with log.open("ab") as said:
        process = subprocess.Popen(
            plan.command,
            env=plan.environment,
            cwd=serving.folder(),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    log.chmod(0o600)
    process.returncode = 0  # it outlives this process, where nobody waits for it
    _await_environment(begun := psutil.Process(process.pid))
    return Service(name=plan.name, process=process.pid, started=begun.create_time())


def _await_environment(process: psutil.Process) -> None:
    """Wait for the moment from which the mark can be read: a program runs a little before the kernel shows its
    environment, and until then it would be taken for one that has ended.
    """
    with contextlib.suppress(psutil.Error, OSError):
        while process.status() != psutil.STATUS_ZOMBIE and not process.environ():
            time.sleep(0.01)


def await_ready(plan: Plan, service: Service, mark: str, log: Path) -> None:
    """Wait until a process does its work, as long as it lives: on a machine that has much else to do that takes
    minutes.

    Raises:
        RuntimeError: If it ends before, with the last that it said.
    """
    while not plan.is_ready():
        if found(service, mark) is None:
            raise RuntimeError(f"{plan.name} did not start{last_words(log)}; its log: {log}")
        time.sleep(0.2)
    if found(service, mark) is None:  # what answers is somebody else
        raise RuntimeError(f"{plan.name} ended{last_words(log)}; its log: {log}")


def last_words(log: Path) -> str:
    """Return the last line of a log in brackets, or nothing."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.is_file() else []
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return last and f" ({last[:REASON_CHARACTERS]})"


def found(service: Service, mark: str) -> psutil.Process | None:
    """Return the process that was started, or None where it has ended."""
    try:
        process = psutil.Process(service.process)
        its_own = abs(process.create_time() - service.started) < CLOCK_S
        return process if its_own and _is_marked(process, mark) else None
    except psutil.Error:
        return None


def _is_marked(process: psutil.Process, mark: str) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark
    return False


def alive(known: Serving) -> dict[str, Service]:
    """Return the services that run, by name."""
    return {one.name: one for one in known.services if found(one, known.mark)}


def end(known: Serving, names: Iterable[str] = ORDER) -> list[str]:
    """End services and whatever they started, in this order; a worker goes before the servers that it tells of its flow
    runs. What a service that was killed has left is found by its session. Return the names of those that ran.
    """
    ended = []
    for name in names:
        sessions = {one.process for one in known.services if one.name == name}
        processes = [one for one in _family(known.mark) if _session(one) in sessions]
        ended += [name] * any(one.pid in sessions for one in processes)
        _end(processes)
    return ended


def end_all(known: Serving) -> list[str]:
    """End all services, and what has left their sessions."""
    ended = end(known)
    _end(_family(known.mark))
    return ended


def _family(mark: str) -> list[psutil.Process]:
    own = psutil.Process()
    above = {own, *own.parents()}
    return [one for one in psutil.process_iter() if one not in above and _is_marked(one, mark)]


def _session(process: psutil.Process) -> int | None:
    with contextlib.suppress(OSError):
        return os.getsid(process.pid)
    return None


def _end(processes: list[psutil.Process]) -> None:
    for way in (psutil.Process.terminate, psutil.Process.kill):
        for one in processes:
            with contextlib.suppress(psutil.Error):
                way(one)  # psutil looks whether the number is another's by now
        processes = psutil.wait_procs(processes, timeout=GRACE_S)[1]
        if not processes:
            return
