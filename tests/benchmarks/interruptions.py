"""What becomes of a run of a deployment that is killed, cancelled, or loses a server while it trains, and of the next:
servers and a worker by `lethe up`, the deployment `selective-unlearning`, a model of two layers.

    python -m tests.benchmarks.interruptions [--cases killed cancelled ...]

Afterwards the same run is asked for again, or, where it has ended well, looked at. Wanted: it ends as Completed, takes
from the cache what was done, goes on training where it was, no run is left as running, and no loss is there twice.
"""

import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil

from flows.terminal import environment
from tests.benchmarks import recording

environment.prepare()

from prefect.client.schemas.objects import FlowRun  # noqa: E402 - the environment comes first
from prefect.states import Cancelling  # noqa: E402
from pydantic import TypeAdapter  # noqa: E402

from flows.methods import METHODS  # noqa: E402
from flows.steps.services import MARK  # noqa: E402
from flows.steps.settings import apply_settings  # noqa: E402
from tests.benchmarks.serving import Service, service  # noqa: E402
from tests.stand_ins.tiny import SETTINGS  # noqa: E402
from tests.stand_ins.waiting import wait_for  # noqa: E402

NAME, TRAINING, LOSS = "selective-unlearning", "finetune", "loss_nats"
LONG = ("finetune.epochs=400", "finetune.courses=1", "finetune.patience=100000", "relearning.steps=[]")
"""Some two thousand steps, half a minute: long enough to be met."""
SEEN = 1500
"""Steps after which a run is interrupted: by then its state has been written, which is done every ten seconds."""
AWAY_S = 20.0


def parameters(seed: int) -> dict[str, Any]:
    """Return what a run is asked for with; of a seed of its own, so that no other one's cache serves it."""
    config = apply_settings(METHODS["whp"].preset("default", seed), [*SETTINGS, *LONG])
    return {"config": TypeAdapter(METHODS["whp"].config).dump_python(config, mode="json")}


def kill(running: Service, run: UUID) -> None:
    """Kill the process of a flow run, and no other."""
    for process in having("PREFECT__FLOW_RUN_ID", str(run)):
        if any("prefect" in word for word in process.cmdline()):
            process.kill()


def cancel(running: Service, run: UUID) -> None:
    """Cancel it as a person does in Prefect's UI."""
    running.prefect.set_flow_run_state(run, Cancelling())


def lose_power(running: Service, run: UUID) -> None:
    """Kill servers, worker and run at once, and start servers and worker again."""
    mark = next(having_marked(running)).environ()[MARK]
    family = [one for found in having(MARK, mark) for one in (found, *found.children(recursive=True))]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    running.lethe("up")


def take_away(server: str, running: Service, run: UUID) -> None:
    """Kill a server, and start it again a while later."""
    for process in having_marked(running):
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if process.cmdline()[2:4] == [server, "server"]:  # python -m mlflow server
                os.killpg(process.pid, signal.SIGKILL)
    time.sleep(AWAY_S)
    running.lethe("up")


CASES: dict[str, Callable[[Service, UUID], None]] = {
    "killed": kill,
    "cancelled": cancel,
    "power": lose_power,
    "mlflow": partial(take_away, "mlflow"),
    "prefect": partial(take_away, "prefect"),
}


def having(variable: str, value: str) -> list[psutil.Process]:
    """Return the processes that have a variable in their environment."""
    return [process for process, found in _environments() if found.get(variable) == value]


def having_marked(running: Service) -> Iterator[psutil.Process]:
    """Yield the servers and the worker of a store."""
    for process, found in _environments():
        if found.get(MARK) and found.get("LETHE_HOME") == str(running.home):
            yield process


def _environments() -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            yield process, process.environ()


def stages(running: Service, run: UUID) -> list[dict[str, Any]]:
    """Return the tracked runs of a flow run's stages."""
    (parent, *_) = running.runs(f"tags.`lethe.prefect_flow_run` = '{run}'") or [None]
    return running.runs(f"tags.`mlflow.parentRunId` = '{parent['info']['run_id']}'") if parent else []


def steps(running: Service, run: UUID) -> list[int]:
    """Return the steps of training whose loss a flow run has logged."""
    trained = [one["info"]["run_id"] for one in stages(running, run) if one["info"]["run_name"] == TRAINING]
    return [step for one in trained for step in running.steps(one, LOSS)]


def measure(running: Service, seed: int, interrupt: Callable[[Service, UUID], None]) -> dict[str, Any]:
    """Let a run begin to train, interrupt it, see how it ends, and ask for it again unless it has ended well."""
    first = running.begin(NAME, parameters(seed))
    wait_for(lambda: len(steps(running, first)) > SEEN, "training", every_s=0.5)
    began = time.monotonic()
    interrupt(running, first)
    ended = _ended(running, first)
    row = {"ends as": ended.state_name if ended else "Running", "seconds": time.monotonic() - began}
    if ended and ended.state and ended.state.is_completed():
        return row | losses(steps(running, first), []) | _left(running)
    last = running.begin(NAME, parameters(seed))
    final = running.end_of(last)
    return row | _next(running, last, final) | losses(steps(running, first), steps(running, last)) | _left(running)


def _ended(running: Service, run: UUID, patience_s: float = 600.0) -> FlowRun | None:
    """Return a flow run that has ended, or None where nobody says that it has."""
    with contextlib.suppress(TimeoutError):
        return running.end_of(run, patience_s)
    return None


def _next(running: Service, run: UUID, ended: FlowRun) -> dict[str, Any]:
    """Return what became of the run that was asked for after one that broke off."""
    cached = [one for one in stages(running, run) if _tags(one).get("lethe.cached") == "true"]
    return {
        "next ends as": ended.state_name,
        "next waited": (ended.start_time - ended.created).total_seconds() if ended.start_time else None,
        "next seconds": (ended.end_time - ended.start_time).total_seconds() if ended.end_time else None,
        "from the cache": len(cached),
        "goes on at": min(steps(running, run), default=None),
    }


def losses(first: list[int], then: list[int]) -> dict[str, int]:
    """Return how many steps of training have no loss, and how many a run has twice, of a run and the one after it."""
    known, last = {*first, *then}, max([*first, *then], default=0)
    twice = len(first) + len(then) - len({*first}) - len({*then})
    return {"steps": last, "losses lost": last - len(known), "losses twice": twice}


def _left(running: Service) -> dict[str, int]:
    return {"left running": len(running.runs("attributes.status = 'RUNNING'"))}


def _tags(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}


def main() -> None:
    """Measure, record and print."""
    parser = recording.parser(__doc__)
    parser.add_argument("--cases", nargs="+", default=[*CASES], choices=CASES)
    asked = parser.parse_args()
    record, rows = recording.begin(asked.results), dict[str, Any]()
    with service(Path(tempfile.mkdtemp(prefix="lethe-interruptions-")), [NAME]) as running:
        for case in asked.cases:
            rows[case] = measure(running, [*CASES].index(case), CASES[case])
            print(case, rows[case], file=sys.stderr, flush=True)
        record.write("interruptions", rows, keep=True)


if __name__ == "__main__":
    main()
