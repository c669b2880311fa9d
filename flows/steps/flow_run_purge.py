"""What `purge` deletes in Prefect: the flow runs of a store with their tasks, states, logs, artifacts and forms, on
every server that has some.

A server that is configured is asked through its API. The database of temporary servers, when none runs, is a file:
there the events of a run go too, and what SQLite would leave in free pages and in its log.
"""

import contextlib
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.steps import temporary_server
from flows.steps.flow_runs import ROOM
from tasks import store
from tasks.tracking_server import without_secrets

ANSWER_S = 10.0
"""Seconds that a server has for an answer."""
WAIT_S = 60.0
"""Seconds that a database has to become free."""
_ERROR = re.compile(r"[0-9a-f]{32}")
"""Names of results that Prefect wrote of failures, which nothing ever reads; those of stages begin with their names."""
_EVENTS = "select event_id from event_resources where resource_id = 'prefect.flow-run.' || ?"


@dataclass(frozen=True, kw_only=True)
class PurgedFlowRuns:
    """What was deleted, and what could not be looked at."""

    runs: int
    unreached: tuple[str, ...] = ()
    """Addresses of servers and databases that cannot be used, without passwords: what they hold is still there."""


def purge_flow_runs(*, expired_only: bool = False) -> PurgedFlowRuns:
    """Delete this store's flow runs, and what Prefect wrote of those that failed.

    Args:
        expired_only: Only what has outlived its retention time.
    """
    _purge_errors(expired_only=expired_only)
    return delete_noted(
        [note for note in flow_run_notes() if not expired_only or store.keep_until(note) <= time.time()]
    )


def flow_run_notes() -> list[Path]:
    """Return the notes of this store's flow runs, each named by its run."""
    return sorted((store.home() / ROOM).glob("[!.]*"))


def delete_noted(notes: Sequence[Path]) -> PurgedFlowRuns:
    """Delete flow runs where their notes say that they are, and then the notes."""
    deleted, unreached = 0, []
    for (server, database), its_own in _by_place(notes).items():
        try:
            _delete_anywhere(server, database, [note.name for note in its_own])
        except Exception:  # whatever a server that is gone makes of itself
            unreached.append(server)
            continue
        deleted += len(its_own)
        for note in its_own:
            note.unlink(missing_ok=True)
    return PurgedFlowRuns(runs=deleted, unreached=tuple(unreached))


def _purge_errors(*, expired_only: bool) -> None:
    """Delete the errors of failed runs, which name files."""
    folder = Path(os.environ.get("PREFECT_LOCAL_STORAGE_PATH") or store.home() / "results")
    for file in folder.glob("*"):
        if _ERROR.fullmatch(file.name) and not (expired_only and store.keep_until(file) > time.time()):
            file.unlink(missing_ok=True)


def _by_place(notes: Sequence[Path]) -> dict[tuple[str, str | None], list[Path]]:
    """Return the notes of flow runs by server and, where that was one of `lethe up`, its database."""
    found: dict[tuple[str, str | None], list[Path]] = {}
    for note in notes:
        kept = store.read_manifest(note)
        found.setdefault((str(kept.get("server")), kept.get("database")), []).append(note)
    return found


def _delete_anywhere(server: str, database: str | None, runs: Sequence[str]) -> None:
    """Delete flow runs on a server of `lethe up`, or in its database where it is down; else on the server alone."""
    try:
        _delete(server, runs)
    except Exception:
        if not database:
            raise
        _delete(database, runs)


def _delete(server: str, runs: Sequence[str]) -> None:
    if server.startswith("http"):
        _delete_on_server(server, runs)
    elif server.startswith("sqlite"):
        _delete_in_database(server, runs)
    else:
        raise ValueError("wanted the address of a server, or of a SQLite database")


def _delete_on_server(server: str, runs: Sequence[str]) -> None:
    """Delete flow runs through a server's API; those that are gone are no error.

    Raises:
        Exception: If it does not answer, or refuses.
    """
    from prefect import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
    from prefect.exceptions import ObjectNotFound

    with _reaching(server), get_client(sync_client=True) as client:
        if failure := client.api_healthcheck():
            raise failure
        for run in runs:
            its_own = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
            while found := client.read_artifacts(artifact_filter=its_own):  # a page of them
                for artifact in found:
                    client.delete_artifact(artifact.id)
            with contextlib.suppress(ObjectNotFound):
                client.delete_flow_run(run)


@contextlib.contextmanager
def _reaching(server: str) -> Iterator[None]:
    """Let Prefect's clients ask a server, with password and key where it is the one that is set today: no other gets
    to know them.
    """
    from prefect.settings import (
        PREFECT_API_AUTH_STRING,
        PREFECT_API_KEY,
        PREFECT_API_REQUEST_TIMEOUT,
        PREFECT_API_URL,
        get_current_settings,
        temporary_settings,
    )

    today = get_current_settings().api.url or ""
    its_own = without_secrets(today) == server
    changed = {PREFECT_API_URL: today if its_own else server, PREFECT_API_REQUEST_TIMEOUT: ANSWER_S}
    with temporary_settings(changed, restore_defaults=set() if its_own else {PREFECT_API_KEY, PREFECT_API_AUTH_STRING}):
        yield


def _delete_in_database(server: str, runs: Sequence[str]) -> None:
    """Delete flow runs in the file of a SQLite database.

    Raises:
        Exception: If it is no database of Prefect's, or another process keeps it busy.
    """
    file = temporary_server.database_file(server)
    if not (file and file.is_file()):  # and with it what it held
        return
    with contextlib.closing(sqlite3.connect(file, timeout=WAIT_S)) as database:
        database.execute("pragma foreign_keys = on")
        with database:
            for run in runs:
                _delete_rows(database, run)
        database.execute("vacuum")  # a deleted row stays in its page
        if database.execute("pragma wal_checkpoint(truncate)").fetchone()[0]:
            raise TimeoutError("the database is busy")


def _delete_rows(database: sqlite3.Connection, run: str) -> None:
    """Delete all that a database has of a flow run; states, tasks and forms go with it by their keys."""
    tables = database.execute(
        "select main.name from sqlite_master as main join pragma_table_info(main.name) as part"
        " where main.type = 'table' and part.name = 'flow_run_id'"
    )
    for (table,) in tables.fetchall():
        database.execute(f'delete from "{table}" where flow_run_id = ?', (run,))  # noqa: S608 - the schema's own name
    database.execute("delete from flow_run where id = ?", (run,))
    database.execute(f"delete from events where id in ({_EVENTS})", (run,))  # noqa: S608 - a constant
    database.execute(
        f"delete from event_resources where event_id in ({_EVENTS})",  # noqa: S608 - a constant
        (run,),
    )
