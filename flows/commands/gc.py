"""The command `lethe gc`."""

from typing import Annotated

import typer

from flows.terminal.options import JsonFile
from flows.terminal.running import plain_errors, plain_failures, write_json


def gc(
    older_than: Annotated[
        float,
        typer.Option(metavar="DAYS", min=0, help="Days for which what nothing refers to stays after its last use."),
    ] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and delete nothing.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Free disk: old states of broken-off stages, checkpoints and caches that nothing refers to, old runs in MLflow and
    Prefect. What a version of a registered model, a removal request, a patch or a run under way needs stays, and so do
    reports, scorecards, edits, evidence records and keys; what a run needs that went is computed anew.
    """
    with plain_failures(), plain_errors(None, json_file):
        from flows.steps import garbage
        from flows.terminal.garbage import as_result, show_garbage

        stock, unreached = garbage.take_stock(older_than), ()
        runs, went = garbage.kept_runs(stock), list(stock.garbage)
        if not dry_run:
            went, unreached = garbage.collect(stock)
        show_garbage(stock, went, runs, dry_run=dry_run)
        result = as_result(stock, went, runs)
        told = {"dry_run": dry_run, "older_than_days": older_than, **result, "unreached": list(unreached)}
        write_json(json_file, {"schema": "lethe.gc.v1", **told})
        for uri in unreached:
            typer.echo(f"lethe: {uri} could not be reached: what it holds is still there", err=True)
        if unreached:
            raise typer.Exit(1)
