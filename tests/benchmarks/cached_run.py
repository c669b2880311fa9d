"""What a run costs that finds every stage in the cache: `lethe demo` once more, and where its time goes.

    python -m tests.benchmarks.cached_run [--runs 3] [--results FOLDER]

The cache under LETHE_HOME is filled first where need be, which takes minutes. Processor time is that of the command's
own process; its temporary Prefect server has one of its own. Beside it stand the floor, what cannot be spared as long
as runs are Prefect's and MLflow's, and the start of `lethe --help`. Wanted on two quiet cores: at most 20 s by the
clock, 12 s of processor time, 0.5 s for the help.
"""

import atexit
import functools
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks import recording
from tests.benchmarks.processes import in_fresh_process

ROOT = Path(__file__).resolve().parent.parent.parent
HELP_RUNS = 5
COMMAND = [sys.executable, "-m", "flows.cli"]


class Marks:
    """Time by the clock and processor time of this process, from mark to mark; of some kinds of work, processor time in
    whichever thread.
    """

    def __init__(self, started: float) -> None:
        """Take when the process was started, in seconds since the epoch."""
        self._started, self._marks, self._kinds = started, [], Counter[str]()
        self._inside = threading.local()

    def mark(self, phase: str) -> None:
        """Say that a phase has ended, the first time that it does."""
        if phase not in [known for known, _, _ in self._marks]:
            self._marks.append((phase, time.time() - self._started, time.process_time()))

    def before(self, phase: str, place: Any, name: str) -> None:
        """Let a phase end where a function is called."""
        work = getattr(place, name)
        setattr(
            place, name, functools.wraps(work)(lambda *given, **named: (self.mark(phase), work(*given, **named))[1])
        )

    def after(self, phase: str, place: Any, name: str) -> None:
        """Let a phase end where a function returns."""
        work = getattr(place, name)
        setattr(
            place, name, functools.wraps(work)(lambda *given, **named: (work(*given, **named), self.mark(phase))[0])
        )

    def count(self, kind: str, place: Any, *names: str) -> None:
        """Count the processor time of functions as of one kind; what they call counts as theirs."""
        for name in names:
            setattr(place, name, self._counted(kind, getattr(place, name)))

    def _counted(self, kind: str, work: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(work)
        def counted(*given: Any, **named: Any) -> Any:
            if getattr(self._inside, "kind", None):
                return work(*given, **named)
            self._inside.kind, before = kind, time.thread_time()
            try:
                return work(*given, **named)
            finally:
                self._kinds[kind] += time.thread_time() - before
                self._inside.kind = None

        return counted

    def write(self, file: str) -> None:
        """Write all down when the process ends."""
        self.mark("end: what Prefect still sends")
        Path(file).write_text(
            json.dumps({"phases": self._marks, "kinds": self._kinds, "own_cpu_s": time.process_time()})
        )


def marked_command(file: str, started: float, words: list[str]) -> None:
    """Run the command in this process, with marks where a phase ends."""
    marks = Marks(started)
    atexit.register(marks.write, file)  # the first of all, so that it is called last
    from flows.steps import temporary_server
    from flows.terminal import running
    from tasks import store, tracking
    from tasks.execution import cache_keys
    from tasks.reporting import benchmark_tables

    marks.before("interpreter, imports, checks", temporary_server, "require")
    marks.after("MLflow's import, while Prefect's server starts", tracking, "load")
    marks.after("the rest of the server's start", temporary_server, "require")
    marks.before("flows: import and begin", tracking, "open_run")
    marks.after("MLflow's first query", tracking, "client")
    marks.before("flows: lookups, links, tables", running, "finish")
    marks.after("result on the terminal", running, "finish")
    marks.count("stages' keys", cache_keys, "stage_key")
    marks.count("digests of artifacts", store, "intact", "path")
    marks.count(
        "MLflow: runs, links, tags",
        tracking,
        "open_run",
        "link_cached",
        "log_inputs",
        "log_scorecard",
        "set_tags",
        "close",
    )
    marks.count("MLflow: tables and files", tracking, "log_table", "log_artifact")
    marks.count("tables read", benchmark_tables, "benchmark_table")
    from flows.cli import main  # takes these functions by name

    sys.argv = ["lethe", *words]
    main()


def run(words: list[str]) -> dict[str, Any]:
    """Run the command in a process of its own; return its stages with what it took."""
    with tempfile.TemporaryDirectory() as folder:
        file, result = Path(folder) / "marks.json", Path(folder) / "result.json"
        began = time.time()
        marked = [
            sys.executable,
            "-m",
            "tests.benchmarks.cached_run",
            "--marked",
            str(file),
            str(began),
            *words,
            "--json",
            str(result),
        ]
        subprocess.run(marked, cwd=ROOT, check=True, capture_output=True)
        wall = time.time() - began
        return {"wall_s": wall, "stages": json.loads(result.read_text())["stages"], **json.loads(file.read_text())}


def cached_run() -> dict[str, Any]:
    """Return what a run took in which no stage was computed; the first ones fill the cache."""
    while set((found := run(["demo"]))["stages"].values()) != {"Cached"}:
        print("the cache was not filled yet", file=sys.stderr, flush=True)
    return found


def phases(found: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Return phase -> seconds by the clock and of processor time."""
    ends = [("", 0.0, 0.0), *found["phases"]]
    spent = {name: (wall - was, cpu - had) for (_, was, had), (name, wall, cpu) in itertools.pairwise(ends)}
    return spent | {"end: the server's stop": (found["wall_s"] - ends[-1][1], found["own_cpu_s"] - ends[-1][2])}


def server_alone() -> tuple[float, float]:
    """Return how long a temporary Prefect server takes to start with nothing beside it, by the clock and in its own
    processor time.
    """
    import psutil
    from prefect.settings import get_current_settings

    from flows.steps import temporary_server
    from flows.terminal import environment

    environment.prepare()
    get_current_settings()
    began = time.monotonic()
    temporary_server.require()
    wall = time.monotonic() - began
    (server,) = [
        child for child in psutil.Process().children() if "prefect.server.api.server:create_app" in child.cmdline()
    ]
    used = server.cpu_times()
    return wall, used.user + used.system


def mlflow_alone() -> tuple[float, float]:
    """Return how long MLflow's import and first query take, by the clock and in processor time."""
    from flows.terminal import environment
    from tasks import tracking

    environment.prepare()
    began, had = time.monotonic(), time.process_time()
    tracking.client()
    return time.monotonic() - began, time.process_time() - had


def prefect_alone() -> tuple[float, float]:
    """Return how long the import of Prefect's client takes, by the clock and in processor time."""
    began, had = time.monotonic(), time.process_time()
    import prefect.main  # noqa: F401

    return time.monotonic() - began, time.process_time() - had


def help_s() -> float:
    """Return the median time of `lethe --help`, in seconds."""
    taken = []
    for _ in range(HELP_RUNS):
        began = time.monotonic()
        subprocess.run([*COMMAND, "--help"], cwd=ROOT, check=True, capture_output=True)
        taken.append(time.monotonic() - began)
    return statistics.median(taken)


def show(console: Console, runs: list[dict[str, Any]], floor: dict[str, tuple[float, float]]) -> None:
    """Print the phases of the median run, what kinds of work took, and the floor."""
    middle = sorted(runs, key=lambda found: found["wall_s"])[len(runs) // 2]
    table = Table(
        "",
        "s by the clock",
        "s of processor",
        title=f"A run of {len(middle['stages'])} stages, all from the cache",
        title_justify="left",
    )
    for name, (wall, cpu) in phases(middle).items():
        table.add_row(name, f"{wall:.1f}", f"{cpu:.1f}")
    table.add_row("all", f"{middle['wall_s']:.1f}", f"{middle['own_cpu_s']:.1f}", end_section=True)
    for name, cpu in sorted(middle["kinds"].items(), key=lambda kind: -kind[1]):
        table.add_row(f"of it: {name}", "", f"{cpu:.1f}")
    table.add_section()
    for name, (wall, cpu) in floor.items():
        table.add_row(f"alone: {name}", f"{wall:.1f}", f"{cpu:.1f}")
    console.print(table)


def measured(runs: list[dict[str, Any]], floor: dict[str, tuple[float, float]]) -> dict[str, dict[str, float]]:
    """Return the figures: a row a phase of the median run, the medians of all, what cannot be had for less."""
    middle = sorted(runs, key=lambda run: run["wall_s"])[len(runs) // 2]
    rows = {name: {"seconds": wall, "processor": cpu} for name, (wall, cpu) in phases(middle).items()}
    medians = {name: statistics.median(run[name] for run in runs) for name in ("wall_s", "own_cpu_s")}
    rows["all"] = {"seconds": medians["wall_s"], "processor": medians["own_cpu_s"], "stages": len(runs[0]["stages"])}
    rows |= {f"alone: {name}": {"seconds": wall, "processor": cpu} for name, (wall, cpu) in floor.items()}
    return rows | {"lethe --help": {"seconds": help_s()}}


def main() -> None:
    """Measure, print and write."""
    parser = recording.parser(__doc__)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    record = recording.begin(arguments.results)
    runs = [cached_run() for _ in range(arguments.runs)]
    alone = {
        "Prefect's import": prefect_alone,
        "Prefect's server, in its process": server_alone,
        "MLflow's import and first query": mlflow_alone,
    }
    floor = {name: in_fresh_process(work) for name, work in alone.items()}
    show(Console(width=120), runs, floor)
    record.write("cached_run", measured(runs, floor))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--marked"]:
        marked_command(sys.argv[2], float(sys.argv[3]), sys.argv[4:])
    else:
        main()
