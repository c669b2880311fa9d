"""What `lethe gc` deletes: garbage of the store, of MLflow and of Prefect, found in one look over all three.

Whatever cannot be asked may refer to anything: where a server does not answer, nothing is deleted.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.steps import flow_run_purge, flow_runs
from tasks import store, tracking_registry, tracking_requests, tracking_rows
from tasks.artifacts import BadInputError
from tasks.execution import upkeep
from tasks.garbage import run_things, store_things, things
from tasks.garbage.store_things import Record
from tasks.garbage.things import Thing
from tasks.removals import register
from tasks.removals.records import Removal
from tasks.tracking_registry import Version
from tasks.tracking_rows import Row
from tasks.tracking_server import without_secrets

FLOW_RUNS, RECORDS = "Prefect flow runs", "cache records"
MARGIN_S = 3600.0
"""Seconds for which a run may look at its models and texts before it is opened in MLflow."""
DAY_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Stock:
    """All that was found, and what of it goes."""

    things: Sequence[Thing]
    rows: Sequence[Row]
    records: Sequence[Record]
    reasons: dict[str, str]
    """Name -> why it stays."""
    garbage: Sequence[Thing]
    since: float
    """What was used then or later stays, seconds of the epoch."""


@dataclass(frozen=True, kw_only=True)
class KeptRun:
    """A flow's run that stays, and the disk that it holds."""

    run: str
    name: str
    ended: float
    """Seconds of the epoch."""
    reason: str
    store_bytes: int
    """Of what it made or took from the cache and is still there; what several runs share counts for each."""
    mlflow_bytes: int
    """Of its own and its stages' artifacts, where they are files of this machine."""


def take_stock(older_than_days: float) -> Stock:
    """Look at everything; nothing is changed.

    Args:
        older_than_days: Days for which what nothing refers to stays after its last use.

    Raises:
        BadInputError: If a server that the store has used does not answer.
    """
    rows, versions, removals = _asked()
    found = store_things.store_things()
    states = {thing.name: store_things.run_of_work(thing.name) for thing in found if thing.kind == store_things.WORK}
    everything = [
        *found,
        *run_things.run_things(rows, {key: run for key, run in states.items() if run}),
        *run_things.version_things(versions, store_things.resolved),
        *run_things.request_things(removals, rows, store_things.resolved),
        *_flow_runs(),
    ]
    running = [row.started for row in rows if row.is_held]
    since = things.cut(time.time(), older_than_days * DAY_S, running, MARGIN_S)
    goes, records = things.garbage(everything, since), store_things.records()
    return Stock(
        things=everything,
        rows=rows,
        records=records,
        reasons=things.kept(everything, since),
        garbage=[*_dangling(records, goes), *goes],
        since=since,
    )


def _asked() -> tuple[list[Row], list[Version], list[Removal]]:
    rows, versions, removals = list[Row](), list[Version](), list[Removal]()
    for server in tracking_rows.servers():
        try:
            with tracking_rows.asking(server) as api:
                rows += tracking_rows.rows(api, server)
                versions += tracking_registry.all_versions()
                if api.get_experiment_by_name(tracking_requests.EXPERIMENT):  # which asking for requests would make
                    removals += register.all_requests()
        except Exception as error:  # whatever a server that is gone makes of itself
            raise BadInputError(
                f"{without_secrets(server)} cannot be asked what it still needs ({type(error).__name__}), so nothing is"
                f" deleted; wanted it up, or, if it is gone for good, its line out of {store.home() / 'servers'}"
            ) from None
    return rows, versions, removals


def _flow_runs() -> Iterator[Thing]:
    """Return the flow runs of this store; a copy's notes are of the original's runs, which it lets alone."""
    for note in flow_run_purge.flow_run_notes():
        kept = store.read_manifest(note)
        made = kept.get("created")
        used = float(made) if isinstance(made, (int, float)) else note.stat().st_mtime
        if kept.get("store") == flow_runs.mark():
            yield Thing(kind=FLOW_RUNS, name=note.name, used=used, bytes=upkeep.size(note), place=str(note))


def _dangling(records: Iterable[Record], goes: Iterable[Thing]) -> list[Thing]:
    """Return the cache's records that name what goes: they would be no hits any more."""
    gone = {Path(thing.place).name for thing in goes if thing.kind in store_things.CACHES.values()}
    return [
        Thing(kind=RECORDS, name=record.file.name, bytes=upkeep.size(record.file), place=str(record.file))
        for record in records
        if record.digests & gone
    ]


def collect(stock: Stock) -> tuple[list[Thing], tuple[str, ...]]:
    """Delete the garbage.

    Returns:
        What went, and the addresses of Prefect's servers that could not be reached: what they hold is still there.
    """
    freed = [thing for thing in stock.garbage if thing.kind not in (run_things.RUNS, FLOW_RUNS)]
    freed = [thing for thing in freed if store_things.delete(thing, stock.since)]
    runs = [thing for thing in stock.garbage if thing.kind == run_things.RUNS]
    for server in dict.fromkeys(thing.place for thing in runs):
        tracking_rows.delete_rows(server, [thing.name for thing in runs if thing.place == server])
    notes = [thing for thing in stock.garbage if thing.kind == FLOW_RUNS]
    purged = flow_run_purge.delete_noted([Path(thing.place) for thing in notes])
    return [*freed, *runs, *(note for note in notes if not Path(note.place).exists())], purged.unreached


def kept_runs(stock: Stock) -> list[KeptRun]:
    """Return the flows' runs that stay, those that hold most first."""
    stages, goes = run_things.flow_runs(stock.rows), {thing.name for thing in stock.garbage}
    sizes = {thing.name: thing.bytes for thing in stock.things if thing.name not in goes}
    origins: dict[str, set[str]] = {}
    for record in stock.records:
        for digest in record.digests & sizes.keys():
            origins.setdefault(digest, set()).update(record.origins)
    by_id, made = {row.id: row for row in stock.rows}, things.held_by(stages, origins)
    found = [
        KeptRun(
            run=run,
            name=by_id[run].name,
            ended=by_id[run].ended,
            reason=stock.reasons[run],
            store_bytes=sum(sizes[name] for name in made[run]),
            mlflow_bytes=sum(by_id[stage].bytes for stage in stages[run] if _is_within(run, stage, by_id)),
        )
        for run in stages
        if run in stock.reasons
    ]
    return sorted(found, key=lambda each: (-each.store_bytes - each.mlflow_bytes, each.run))


def _is_within(run: str, stage: str, by_id: dict[str, Row]) -> bool:
    return stage in by_id and run_things.root_of(by_id[stage], by_id) == run
