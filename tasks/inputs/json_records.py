"""JSON lists and JSON lines, told apart by content: every record with the place where it stands, for messages."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.algorithms.text.json_values import parse_json
from tasks.artifacts import BadInputError
from tasks.inputs.plain_text import read_utf8


def read_records(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield every record of a file with its place.

    Raises:
        BadInputError: If the file cannot be read, or holds none.
    """
    text = _text(path)
    if text.lstrip()[:1] != "[":
        yield from _lines(path, text)
        return
    try:
        records = parse_json(text)
    except ValueError as error:
        raise BadInputError(f"{path}, {_where(error)}; wanted a JSON list of records") from None
    if not records:
        raise BadInputError(f"{path} holds no records; wanted one or more")
    yield from ((f"{path}, record {number}", record) for number, record in enumerate(records, 1))


def _text(path: Path) -> str:
    if not path.is_file():
        raise BadInputError(f"{path} is no file; wanted a file of JSON or JSON lines")
    text = read_utf8(path, str(path), "JSON or JSON lines")
    if not text.strip():
        raise BadInputError(f"{path} is empty; wanted JSON or JSON lines")
    return text


def _lines(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    """Yield the record of each line; one record alone may take several."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    for number, line in lines:
        try:
            record = parse_json(line)
        except ValueError as error:
            if number == lines[0][0] and (whole := _whole(text)) is not None:
                yield f"{path}, record 1", whole
                return
            what = _where(error).partition(": ")[2]
            raise BadInputError(f"{path}, line {number}: {what}; wanted one JSON record a line") from None
        yield f"{path}, line {number}", record


def _whole(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        return None


def _where(error: Exception) -> str:
    """Return line and fault of malformed JSON."""
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}: {error.msg} at character {error.colno}"
    return f"line 1: it cannot be read ({error})"
