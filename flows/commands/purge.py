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
    """Delete everything that holds forgotten text: corpora, anchors, labels, reinforced models, records,
    full reports.
    """
    from tasks import store, tracking_purge

    if not yes and not typer.confirm(f"Delete all forget artifacts under {store.home()} and in MLflow?", default=False):
        raise typer.Exit(1)
    purged, runs = store.purge(expired_only=expired), tracking_purge.purge_artifacts(expired_only=expired)
    typer.echo(f"Purged {purged.artifacts} artifacts ({purged.bytes / 1e6:.1f} MB) and {runs.files} entries in MLflow.")
    write_json(
        json_file,
        {
            "schema": "lethe.purge.v1",
            "artifacts": purged.artifacts,
            "bytes": purged.bytes,
            "mlflow_entries": runs.files,
            "unreached": list(runs.unreached),
        },
    )
    for uri in runs.unreached:
        typer.echo(f"lethe: {uri} could not be reached: what it holds is still there", err=True)
    if runs.unreached:
        raise typer.Exit(1)
