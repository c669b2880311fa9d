"""The command `lethe compare`."""

from pathlib import Path
from typing import Annotated

import typer

from flows.terminal import checks
from flows.terminal.options import Files, JsonFile, Reproducible, Runner
from flows.terminal.running import plain_errors, plain_failures, running, write_json


def compare(
    runs: Annotated[
        Files,
        typer.Argument(
            metavar="RUN...",
            help="Folders of --out, scorecards, files of --json, or MLflow run ids (8 letters do).",
            show_default=False,
        ),
    ],
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Copy page, plot and tables there.")] = None,
    runner: Runner = "",
    reproducible: Reproducible = "auto",
    json_file: JsonFile = None,
) -> None:
    """Lay finished runs side by side: what each forgot against what it kept, with paired tests against the first."""
    with plain_failures(), plain_errors(out, json_file):
        from tasks.reporting.cards import gather_cards

        gather_cards(runs)
    with running(runner, reproducible) as console:
        from flows.comparison import compare as compare_flow
        from flows.terminal.results import as_result
        from flows.terminal.tables import show_comparison

        compared = compare_flow(runs=[checks.absolute(run) if Path(run).expanduser().exists() else run for run in runs])
        comparison, places = as_result(compared, out)
        show_comparison(console, comparison, places)
        write_json(json_file, comparison)
