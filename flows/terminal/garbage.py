"""What `lethe gc` shows: what goes and what stays of each kind, and the disk that every kept run holds."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.steps.garbage import KeptRun, Stock
from tasks.garbage.things import Thing

MOST_RUNS = 30
"""Runs that are listed; --json has them all."""


def show_garbage(stock: Stock, went: Sequence[Thing], runs: Sequence[KeptRun], *, dry_run: bool) -> None:
    """Print two tables, and how much is freed."""
    console = Console() if sys.stdout.isatty() else Console(width=120)
    console.print(garbage_table(stock, went, dry_run=dry_run))
    if runs:
        console.print(runs_table(runs[:MOST_RUNS]))
    if len(runs) > MOST_RUNS:
        console.print(f"... and {len(runs) - MOST_RUNS:,} more runs", highlight=False)
    words = "Would free" if dry_run else "Freed"
    console.print(f"{words} {megabytes(sum(thing.bytes for thing in went))} MB.", highlight=False)


def garbage_table(stock: Stock, went: Sequence[Thing], *, dry_run: bool) -> Table:
    """Return a row a kind: what goes and what stays, as numbers and MB."""
    table = Table(title="What goes" if dry_run else "What went", title_justify="left", header_style="bold")
    for column in ("kind", "goes" if dry_run else "went", "MB", "stays", "MB"):
        table.add_column(column, justify="left" if column == "kind" else "right", no_wrap=True)
    for row in as_rows(stock, went):
        counts = (f"{row['goes']:,}", megabytes(row["goes_bytes"]), f"{row['stays']:,}", megabytes(row["stays_bytes"]))
        table.add_row(row["kind"], *counts)
    return table


def as_rows(stock: Stock, went: Sequence[Thing]) -> list[dict[str, Any]]:
    """Return number and bytes of what goes and what stays, for every kind that there is."""
    gone = {thing.name for thing in went}
    stays = [thing for thing in stock.things if thing.place and thing.name not in gone]
    kinds = dict.fromkeys(thing.kind for thing in (*went, *stays))
    return [{"kind": kind, **_counted("goes", kind, went), **_counted("stays", kind, stays)} for kind in sorted(kinds)]


def _counted(what: str, kind: str, things: Sequence[Thing]) -> dict[str, int]:
    of_kind = [thing.bytes for thing in things if thing.kind == kind]
    return {what: len(of_kind), f"{what}_bytes": sum(of_kind)}


def runs_table(runs: Sequence[KeptRun]) -> Table:
    """Return a row a run that stays: why, and the disk that it holds."""
    title = "Disk of each run that stays (what runs share counts for each)"
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in ("run", "name", "ended", "stays because", "store MB", "MLflow MB"):
        table.add_column(column, justify="right" if "MB" in column else "left")
    for run in runs:
        sizes = (megabytes(run.store_bytes), megabytes(run.mlflow_bytes))
        cells = (run.run[:8], run.name, _day(run.ended), run.reason)
        table.add_row(*map(Text, cells), *sizes)
    return table


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def megabytes(size: int) -> str:
    """Return bytes as millions of them."""
    return f"{size / 1e6:,.1f}"


def as_result(stock: Stock, went: Sequence[Thing], runs: Sequence[KeptRun]) -> dict[str, Any]:
    """Return what machines are told."""
    return {
        "bytes": sum(thing.bytes for thing in went),
        "kinds": as_rows(stock, went),
        "runs": [
            {
                "run": run.run,
                "name": run.name,
                "ended": _day(run.ended),
                "reason": run.reason,
                "store_bytes": run.store_bytes,
                "mlflow_bytes": run.mlflow_bytes,
            }
            for run in runs
        ],
    }
