"""MLflow's runs as what may go, and what in MLflow says which may not: versions of registered models, and removal
requests in force.

A run is one thing with the runs that are nested in it, and with those that its tags name: the runs that its stages took
results from.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping

from tasks.garbage.things import Thing
from tasks.monitoring.lasting_runs import MONITOR
from tasks.removals.records import Removal
from tasks.tracking_registry import Version
from tasks.tracking_rows import Row

RUNS, VERSIONS, REQUESTS = "MLflow runs", "model versions", "removal requests"
_RUN, _DIGEST = re.compile(r"\b[0-9a-f]{32}\b"), re.compile(r"\b[0-9a-f]{64}\b")


def run_things(rows: Collection[Row], states: Mapping[str, str]) -> list[Thing]:
    """Return the runs.

    Args:
        rows: As MLflow has them.
        states: Key of a state that a stage left -> the stage's run: the run may be begun again, and go on there.
    """
    children, left = _grouped((row.parent, row.id) for row in rows), _grouped((run, key) for key, run in states.items())
    return [
        Thing(
            kind=RUNS,
            name=row.id,
            used=row.ended,
            bytes=row.bytes,
            place=row.server,
            needs=frozenset(
                {row.parent, *children.get(row.id, ()), *left.get(row.id, ()), *_named(row.tags, _RUN)}
                | ({row.tags.get("lethe.prefect_flow_run", "")} if row.is_held else set())
            ),
            reason=_reason(row),
        )
        for row in rows
    ]


def _reason(row: Row) -> str:
    """Return why a run stays whatever its age; a monitor's is written on although it has ended."""
    if row.is_held:
        return "it is under way"
    return "it is a monitor's" if MONITOR in row.tags else ""


def version_things(versions: Iterable[Version], resolved: Callable[[set[str]], frozenset[str]]) -> list[Thing]:
    """Return versions of registered models, which never go and need their run, their report's and their weights.

    Args:
        versions: As the registry has them.
        resolved: Digests -> names under which the store has them.
    """
    return [
        Thing(
            kind=VERSIONS,
            name=f"{version.name} version {version.number}",
            needs=frozenset({version.run, *_named(version.tags, _RUN)}) | resolved(_named(version.tags, _DIGEST)),
            reason=f"{version.name} version {version.number}",
        )
        for version in versions
    ]


def request_things(
    removals: Iterable[Removal], rows: Collection[Row], resolved: Callable[[set[str]], frozenset[str]]
) -> list[Thing]:
    """Return removal requests in force, which never go and need their model and all runs that were made for them.

    Args:
        removals: As the register has them.
        rows: Runs, as MLflow has them.
        resolved: Digests -> names under which the store has them.
    """
    made = _grouped((row.tags.get("lethe.request", ""), row.id) for row in rows)
    return [
        Thing(
            kind=REQUESTS,
            name=removal.id,
            needs=frozenset({*made.get(removal.id, ()), *(change.run for change in removal.history)})
            | resolved({removal.target, removal.base}),
            reason=f"removal request {removal.id}",
        )
        for removal in removals
        if removal.is_in_force
    ]


def flow_runs(rows: Collection[Row]) -> dict[str, list[str]]:
    """Return run of a flow -> ids of its own and its stages' runs, and of those whose results these took from the
    cache.
    """
    by_id = {row.id: row for row in rows}
    found: dict[str, list[str]] = {row.id: [] for row in rows if row.parent not in by_id}
    for row in rows:
        found[root_of(row, by_id)] += [row.id, *filter(None, [row.tags.get("lethe.origin_run", "")])]
    return found


def root_of(row: Row, by_id: Mapping[str, Row]) -> str:
    """Return the id of the flow's run that a run is nested in, at whatever depth, or is."""
    while row.parent in by_id:
        row = by_id[row.parent]
    return row.id


def _named(tags: Mapping[str, str], form: re.Pattern[str]) -> set[str]:
    """Return what the tags of our own name in this form."""
    return {word for name, value in tags.items() if name.startswith("lethe.") for word in form.findall(value)}


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found
