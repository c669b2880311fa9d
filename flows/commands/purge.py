"""The command `lethe purge`."""

from typing import Annotated

import typer

from flows.terminal.options import JsonFile
from flows.terminal.running import write_json


def purge(
    expired: Annotated[bool, typer.Option("--expired", help="Only what has outlived its retention time.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Delete everything that holds forgotten text: corpora, anchors, labels, reinforced models, records, full reports;
    and Prefect's flow runs, which may name its files.
    """
    from flows.steps import flow_run_purge
    from tasks import store, tracking_purge

    question = f"Delete all forget artifacts under {store.home()} and in MLflow, and the flow runs in Prefect?"
    if not yes and not typer.confirm(question, default=False):
        raise typer.Exit(1)
    purged, runs = store.purge(expired_only=expired), tracking_purge.purge_artifacts(expired_only=expired)
    flow_runs = flow_run_purge.purge_flow_runs(expired_only=expired)
    unreached = (*runs.unreached, *flow_runs.unreached)
    typer.echo(
        f"Purged {purged.artifacts} artifacts ({purged.bytes / 1e6:.1f} MB), {runs.files} entries in MLflow and"
        f" {flow_runs.runs} flow runs in Prefect."
    )
    write_json(
        json_file,
        {
            "schema": "lethe.purge.v1",
            "artifacts": purged.artifacts,
            "bytes": purged.bytes,
            "mlflow_entries": runs.files,
            "prefect_flow_runs": flow_runs.runs,
            "unreached": list(unreached),
        },
    )
    for uri in unreached:
        typer.echo(f"lethe: {uri} could not be reached: what it holds is still there", err=True)
    if unreached:
        raise typer.Exit(1)
