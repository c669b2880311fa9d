"""What all commands share: one plain line for what the user got wrong, progress while a flow runs, the result when it
is done.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from flows.steps.outcome import Outcome


@contextlib.contextmanager
def plain_errors(out: str | None = None, json_file: str | None = None) -> Iterator[None]:
    """Turn what the user got wrong into one line and exit status 2; a place where nothing can be written is found out
    before anything is done.
    """
    try:
        require_writable(out, json_file)
        yield
    except (ValueError, KeyError, OSError) as error:
        _fail(error, 2)


@contextlib.contextmanager
def plain_failures() -> Iterator[None]:
    """Turn what failed into one line and exit status 1, for commands that run no flow."""
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        _fail(error, 1)


@contextlib.contextmanager
def running(runner: str = "", reproducible: str = "auto") -> Iterator[Any]:
    """Run a flow with progress on the terminal; bad input found on the way exits with 2, failures with 1.

    A temporary Prefect server takes seconds to start, and MLflow to be loaded: they go on together.

    Args:
        runner: Where stages run, as `RunnerConfig` has it; empty: here.
        reproducible: How equal their numbers are, as there.
    """
    from rich.console import Console

    from flows.steps import interruption, runners, temporary_server
    from flows.terminal.progress_bars import progress_bars
    from tasks import tracking
    from tasks.artifacts import BadInputError
    from tasks.settings.runner import LOCAL, RunnerConfig

    with plain_errors():
        where = RunnerConfig(address=runner or LOCAL, reproducible=reproducible)
        runners.require_usable(where)
    console = Console() if sys.stdout.isatty() else Console(width=120)
    try:
        if tracking.is_remote():  # before anything else starts: one that is dead ends the command at once
            tracking.client()
        temporary_server.require(meanwhile=tracking.load)
        with runners.chosen(where), progress_bars(Console(stderr=True), console):
            yield console
    except BadInputError as error:
        interruption.check()
        _fail(error, 2)
    except (KeyboardInterrupt, typer.Exit, typer.Abort):
        raise
    except Exception as error:
        interruption.check()  # what fails after that follows from it
        _fail(error, 1)


def require_writable(out: str | None, json_file: str | None) -> None:
    """Refuse a folder and a file that cannot be written.

    Raises:
        ValueError: If the folder is a file, the file a folder or in none, or either belongs to somebody else.
    """
    if out is not None:
        folder = Path(out).absolute()
        if not out.strip() or (folder.exists() and not folder.is_dir()):
            raise ValueError(f"--out {out} is no folder; wanted a folder, or a name for one")
        above = next(place for place in (folder, *folder.parents) if place.exists())
        if not above.is_dir():
            raise ValueError(f"--out {out}: {above} is no folder; wanted one")
        _require_rights(f"--out {out}", above)
    if json_file is not None:
        file = Path(json_file).absolute()
        if not json_file.strip() or file.is_dir() or not file.parent.is_dir():
            raise ValueError(f"--json {json_file} is no file in a folder that exists; wanted a file's name")
        _require_rights(f"--json {json_file}", file if file.exists() else file.parent)


def _require_rights(option: str, place: Path) -> None:
    if not os.access(place, os.W_OK):
        raise ValueError(f"{option}: {place} cannot be written; wanted a place that can")


def _fail(error: BaseException, status: int) -> None:
    """Say in one line what went wrong, and end the command with a status."""
    message = error.args[0] if isinstance(error, KeyError) and error.args else error
    typer.echo(f"lethe: {' '.join(str(message).split()) or type(error).__name__}", err=True)
    raise typer.Exit(status)


def finish(
    console: Any,
    outcome: "Outcome",
    started: float,
    out: str | None,
    json_file: str | None,
    require_verdict: bool,
    told: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Show the result, copy what was asked for, and set the exit status; `told` is what machines are told beside it."""
    from flows.steps.outcome import adapter_origin
    from flows.steps.prefect_ui import prefect_place
    from flows.terminal.results import result_files
    from flows.terminal.tables import show_result
    from tasks import store, tracking
    from tasks.reporting.benchmark_tables import benchmark_table
    from tasks.storage.plain_files import read_json

    card = read_json(store.path(outcome.scorecard) / "scorecard.json")
    files = result_files(outcome, out)
    address, how = tracking.run_address(outcome.mlflow_run)
    cached = sum(state == "Cached" for state in outcome.stages.values())
    seconds = time.monotonic() - started
    places = {
        "Report": str(files["report.html"]),
        "Redacted": str(files["report-redacted.html"]),
        "Model": str(files["model"]),
        "Registered": outcome.model_version,
        "MLflow": f"{address} ({how})",
        "Prefect": prefect_place(outcome.flow_run, outcome.flow_run_name),
        "Stages": f"{cached} of {len(outcome.stages)} from cache; {seconds:.0f} s in all",
    }
    adapter = adapter_origin(outcome.unlearned)
    if adapter:
        places["Adapter"] = (
            f"belongs to the model {adapter['adapter base'][:16]}; taken off by {adapter['adapter taken off by']}"
        )
    show_result(console, card, places, benchmark_table(outcome.benchmarks))
    write_json(
        json_file,
        {
            "schema": "lethe.result.v1",
            "seconds": round(seconds, 1),
            **_result(outcome, card, places),
            "adapter": adapter or None,
            **told,
        },
    )
    if require_verdict and not card["verdict"]["passed"]:
        raise typer.Exit(1)


def _result(outcome: "Outcome", card: dict[str, Any], places: dict[str, str]) -> dict[str, Any]:
    return {
        "verdict": card["verdict"],
        "scorecard": card,
        "report": places["Report"],
        "redacted_report": places["Redacted"],
        "model": places["Model"],
        "registered": outcome.model_version,
        "mlflow_run": outcome.mlflow_run,
        "prefect_flow_run": outcome.flow_run,
        "stages": {str(key): state for key, state in outcome.stages.items()},
    }


def write_json(file: str | None, value: dict[str, Any]) -> None:
    """Write a result for machines, where it was asked for."""
    if file:
        from tasks import store
        from tasks.storage import plain_files

        if Path(file).is_file():  # it keeps its rights, and a plan tells anchors
            store.keep_private(Path(file))
        plain_files.write_json(Path(file), value)
