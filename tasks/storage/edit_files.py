"""Edit requests as JSON lines, a request a line, without empty fields."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasks import store
from tasks.artifacts import EditPatch, EditSet
from tasks.settings.edit_request import EditRequest, Statement

FILE = "edits.jsonl"
STATEMENTS = ("name_sharers", "unrelated", "portability")
"""Fields whose entries are a prompt and what should follow it."""


def write_edits(path: Path, requests: Iterable[EditRequest]) -> None:
    """Write requests as JSON lines."""
    with path.open("w", encoding="utf-8") as stream:
        for request in requests:
            row = {name: value for name, value in dataclasses.asdict(request).items() if value}
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_edits(path: Path) -> list[EditRequest]:
    """Read what `write_edits` wrote.

    Raises:
        ValueError: If a line is no such request; file and line are named.
    """
    requests = []
    with path.open(encoding="utf-8", newline="\n") as stream:
        for number, line in enumerate(stream, 1):
            try:
                requests.append(_request(json.loads(line)))
            except (ValueError, TypeError, AttributeError) as error:
                raise ValueError(f"{path}, line {number}: {error}; wanted an edit request") from None
    return requests


def stored_edits(edits: EditSet | EditPatch) -> list[EditRequest]:
    """Read the requests of a set, or those that a patch makes."""
    return read_edits(store.path(edits) / FILE)


def _request(row: dict[str, Any]) -> EditRequest:
    lists = {name: tuple(value) for name, value in row.items() if isinstance(value, list)}
    pairs = {name: tuple(Statement(**entry) for entry in lists[name]) for name in STATEMENTS if name in lists}
    return EditRequest(**(row | lists | pairs))
