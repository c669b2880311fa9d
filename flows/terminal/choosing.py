"""What `--method auto` shows beside its result: all trials with what each lacks, and where they stand side by side."""

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from flows.automatic import Chosen, Tried
from flows.terminal.results import as_result
from tasks.reporting.choice_rows import in_part, in_words


def show_choice(console: Console, chosen: Chosen, out: str | None) -> dict[str, Any]:
    """Print the trials and what was chosen, copy their comparison where it was asked for, and return what machines are
    told.

    Args:
        console: Where to print.
        chosen: What the flow made.
        out: Folder for page, plot and tables of the comparison; None: they stay in the store.
    """
    _, places = as_result(chosen.comparison, out)
    console.print(trials_table(chosen.trials))
    for candidate, reason in chosen.left_out.items():
        console.print(f"not tried: {candidate}: {reason}", markup=False, highlight=False)
    console.print(f"Chosen: {chosen.words}", markup=False, highlight=False)
    console.print(f"Side by side: {places['Page']}", markup=False, highlight=False, soft_wrap=True)
    return {
        "chosen": chosen.candidate,
        "choice": chosen.words,
        "trials": [asdict(tried) for tried in chosen.trials],
        "left_out": dict(chosen.left_out),
        "comparison": places["Page"],
        "choice_mlflow_run": chosen.mlflow_run,
    }


def trials_table(trials: tuple[Tried, ...]) -> Table:
    """Return a row for each trial: what is left, what comes back and what is kept, and what it lacks."""
    table = Table(title="Trials, over the target model", title_justify="left", header_style="bold")
    for column in ("no.", "left", "back", "kept", "seconds"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("candidate", ratio=2)
    table.add_column("state", no_wrap=True)
    table.add_column("lacks", ratio=3)
    for number, tried in enumerate(trials, 1):
        figures = (_share(tried.left), _share(tried.back), _share(tried.kept), f"{tried.seconds:.0f}")
        table.add_row(
            str(number), *figures, in_part(tried.candidate, tried.share), tried.state, in_words(tried.lacking, 2)
        )
    return table


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}x"
