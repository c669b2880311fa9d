"""Claims: a run whose tracking server or Prefect server dies or falls silent, at the start or in the middle, ends in
bounded time with status 1 and one line that names the server, and leaves no process; the same command goes on from the
stages that it finished, once the server is back. SIGTERM to the process group ends a run within ten seconds with one
line, Ctrl-C with the same line within about a minute. Metrics that are logged while the tracking server is away arrive
once each when it is back, at the latest with the next run.
"""

import itertools
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil
import pytest

from flows.steps import interruption
from tasks import tracking, tracking_steps
from tasks.tracking_server import NoTrackingServerError
from tests.stand_ins import runs
from tests.stand_ins.servers import MlflowServer, free_port, mlflow_server, page_server, silent_server
from tests.stand_ins.waiting import wait_for

KIND = "servers that die, and signals"
UNDER_WAY = "  finishing slowly ..."
DEAD_S = 120
"""Most seconds until a run has noticed that a server is dead, MLflow's own repetitions included."""
SILENT_S = 300
"""The same where it takes what is sent and says nothing: each repetition waits for its answer."""


class Run:
    """A run that is under way."""

    def __init__(self, folder: Path, seconds: str, **changes: str) -> None:
        (folder / "computations").mkdir(parents=True, exist_ok=True)
        self.counter, self._log = folder / "computations", folder / "stderr"
        with self._log.open("w") as log:
            self.process = runs.started(folder / "lethe", self.counter, runs.TEXT, seconds, said=log, **changes)
        self.family: list[psutil.Process] = []

    def said(self) -> str:
        return self._log.read_text()

    def wait_until(self, line: str) -> None:
        wait_for(lambda: self.process.poll() is not None or line in self.said(), f"the line {line!r}", every_s=0.05)
        assert self.process.poll() is None, self.said()
        self.family = runs.family(self.process)

    def lines(self) -> list[str]:
        """What is no progress."""
        return [line for line in self.said().splitlines() if not re.fullmatch(r"  [a-z ]+( \.\.\.|: done)", line)]

    def end(self, within_s: float) -> tuple[int, float]:
        """Wait until it has ended; return its status and the seconds that took."""
        began = time.monotonic()
        status = self.process.wait(within_s + 60)
        return status, time.monotonic() - began

    def computations(self) -> int:
        return len(list(self.counter.iterdir()))


@contextmanager
def under_way(folder: Path, seconds: str = "600", **changes: str) -> Iterator[Run]:
    run = Run(folder, seconds, **changes)
    with run.process:
        try:
            yield run
        finally:
            runs.kill(run.process)


def survivors(run: Run) -> list[str]:
    return [" ".join(one.cmdline()) for one in psutil.wait_procs(run.family, timeout=30)[1]]


@pytest.mark.faults
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("moment", ["", UNDER_WAY], ids=["early", "in a stage"])
def test_a_signal_to_the_group_ends_a_run_in_time_with_a_line(
    moment: str, number: int, status: int, tmp_path: Path
) -> None:
    with under_way(tmp_path) as run:
        if moment:
            run.wait_until(moment)
        else:  # its own modules are loaded, and little else
            wait_for(lambda: len(runs.family(run.process)) > 1, "the start of its server", every_s=0.01)
            run.family = runs.family(run.process)
        os.killpg(run.process.pid, number)
        ended, took = run.end(10)
        assert (ended, run.lines()) == (status, [f"lethe: {interruption.STOPPED}"])
        assert took < (10 if number == signal.SIGTERM else 70)
        assert survivors(run) == []


def server_of(run: Run) -> psutil.Process:
    (server,) = [one for one in run.family if "prefect.server.api.server:create_app" in one.cmdline()]
    return server


@pytest.mark.faults
def test_prefects_own_server_that_dies_in_the_middle_is_named(tmp_path: Path) -> None:
    with under_way(tmp_path) as run:
        run.wait_until(UNDER_WAY)
        server_of(run).kill()
        status, took = run.end(30)
        assert (status, len(run.lines())) == (1, 1), run.said()
        assert run.lines()[0].startswith(
            "lethe: the temporary Prefect server ended with status -9; wanted one that runs"
        )
        assert took < 30
        assert survivors(run) == []


@pytest.mark.faults
def test_prefects_own_server_that_dies_at_the_start_is_named(tmp_path: Path) -> None:
    nowhere = f"sqlite+aiosqlite:///{tmp_path}/nowhere/prefect.db"
    with under_way(tmp_path, PREFECT_API_DATABASE_CONNECTION_URL=nowhere) as run:
        status, _ = run.end(60)
        assert (status, len(run.lines())) == (1, 1), run.said()
        assert run.lines()[0].startswith("lethe: the temporary Prefect server ended with status 3")


@pytest.mark.faults
@pytest.mark.parametrize(
    ("number", "most_s"), [(signal.SIGKILL, DEAD_S), (signal.SIGSTOP, SILENT_S)], ids=["dead", "silent"]
)
def test_mlflows_server_that_dies_in_the_middle_is_named_and_the_run_goes_on_when_it_is_back(
    number: int, most_s: float, tmp_path: Path
) -> None:
    with mlflow_server(tmp_path / "server") as server, under_way(tmp_path, "12", **tracked_by(server)) as run:
        run.wait_until(UNDER_WAY)
        server.send(number)
        status, took = run.end(most_s)
        assert (status, len(run.lines())) == (1, 1), run.said()
        assert run.lines()[0].startswith(f"lethe: the MLflow server {server.address} cannot be used: "), run.said()
        assert took < most_s
        assert survivors(run) == []
        assert run.computations() == 2
        server.kill()
        server.start()
        with under_way(tmp_path, "12", **tracked_by(server)) as again:
            assert again.end(600)[0] == 0, again.said()
            assert again.computations() == 3, "the stage that was finished is not computed again"


@pytest.mark.faults
def test_metrics_that_are_logged_while_mlflows_server_is_away_arrive_once_each(
    tmp_path: Path, lethe_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_steps, "RETRY_S", 0.0)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with mlflow_server(tmp_path / "server") as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
        run, steps = tracking.open_run("a run", {}, {}), iter(range(1, 1000))
        with pytest.raises(NoTrackingServerError), tracking.StepLog(run) as log:
            for there in (True, False, False, True, False):
                server.kill()
                if there:
                    server.start()
                for step in itertools.islice(steps, tracking.FLUSH_ROWS + 20):
                    log(step, {"loss_nats": 1 / step, "learning_rate": 0.1})
        server.start()
        assert len(tracking.points(run, "loss_nats")) < 350
        tracking.close(tracking.open_run("the next run", {}, {}))
        for name in ("loss_nats", "learning_rate"):
            assert [point.step for point in tracking.points(run, name)] == list(range(1, 351))


def tracked_by(server: MlflowServer) -> dict[str, str]:
    return {"MLFLOW_TRACKING_URI": server.address}


def nobody() -> AbstractContextManager[int]:
    @contextmanager
    def port() -> Iterator[int]:
        yield free_port()

    return port()


@pytest.mark.parametrize(
    "server", [nobody, silent_server, lambda: page_server(b"<html>hello</html>")], ids=["dead", "silent", "a web page"]
)
def test_a_tracking_server_that_is_none_is_named_at_once(
    server: Callable[[], AbstractContextManager[int]], tmp_path: Path
) -> None:
    with server() as port, under_way(tmp_path, MLFLOW_TRACKING_URI=f"http://127.0.0.1:{port}") as run:
        status, _ = run.end(60)
        assert (status, len(run.lines())) == (1, 1), run.said()
        assert run.lines()[0].startswith(f"lethe: the MLflow server http://127.0.0.1:{port} cannot be used: ")
        assert run.computations() == 0
