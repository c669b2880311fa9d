"""A set of edits in the store: the requests whole, and a table for people."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import store
from tasks.artifacts import Artifact
from tasks.settings.edit_request import EditRequest
from tasks.storage.edit_files import FILE, write_edits
from tasks.storage.plain_files import write_frame

if TYPE_CHECKING:
    import pandas

TABLE = "edits.csv"
COLUMNS = ("name", "subject", "prompt", "object", "target", "relation")
"""Fields that the table shows."""


def put_edits(requests: Sequence[EditRequest]) -> Artifact:
    """Store requests, as what is to be forgotten is."""
    digest = store.put("edits", lambda folder: write_edit_set(folder, requests), sensitivity="forget")
    return Artifact(kind="edits", digest=digest, sensitivity="forget")


def write_edit_set(folder: Path, requests: Sequence[EditRequest]) -> None:
    """Write requests, for programs and for people."""
    write_edits(folder / FILE, requests)
    write_frame(folder / TABLE, edit_frame(requests))


def edit_frame(requests: Sequence[EditRequest]) -> "pandas.DataFrame":
    """Return requests as a table, which has its columns even where there are none."""
    import pandas

    return pandas.DataFrame(
        [{name: getattr(request, name) for name in COLUMNS} for request in requests], columns=list(COLUMNS)
    )
