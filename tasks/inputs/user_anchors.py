"""A person's own anchors, `--anchors FILE`: a dictionary written by hand, or the table that `--dry-run --out` wrote,
edited.

A dictionary adds to the anchors that are found, and its translations win. A table holds the field `origin` and is the
whole list: what was deleted there is no anchor. Fields that are of no use here are passed over; counts and scores are
computed anew.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.algorithms.text.anchors import KINDS, Anchor, spelling_key
from tasks.algorithms.text.cells import from_cell
from tasks.algorithms.text.json_values import parse_json
from tasks.artifacts import BadInputError
from tasks.inputs.plain_text import read_utf8

_WANTED = 'JSON {"term": "translation"}, a JSON list of records with `term`, or CSV with the columns term,generic'
_DELIMITERS = ",;\t"


@dataclass(frozen=True, kw_only=True)
class UserAnchors:
    """What a file of anchors says."""

    anchors: tuple[Anchor, ...] = ()
    """Not yet counted; the kind is empty where the file names none."""
    generics: Mapping[str, str] = field(default_factory=dict)
    """Term -> translation, where the file has one."""
    complete: bool = False
    """Whether these are all anchors there shall be."""


def read_user_anchors(path: Path) -> UserAnchors:
    """Read a file of anchors.

    Args:
        path: JSON or CSV, told apart by content; CSV may be separated by commas, semicolons or tabs.

    Returns:
        The anchors in the order of the file.

    Raises:
        BadInputError: If it is neither, or a row is bad; file, line (of CSV) or record (of JSON), and field are named.
    """
    text = read_utf8(path, f"--anchors {path}", _WANTED)
    rows, seen = (
        list(_json_rows(path, text) if text.lstrip()[:1] in ("{", "[") else _csv_rows(path, text)),
        dict[str, str](),
    )
    for place, row in rows:
        _check(place, row, seen)
    return UserAnchors(
        anchors=tuple(_anchor(row) for _, row in rows),
        generics={_cell(row, "term"): _cell(row, "generic") for _, row in rows if _cell(row, "generic")},
        complete=any("origin" in row for _, row in rows),
    )


def _json_rows(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        content = parse_json(text)
    except ValueError as error:
        raise BadInputError(f"--anchors {path}: {error}; wanted {_WANTED}") from None
    pairs = (
        [{"term": term, "generic": generic} for term, generic in content.items()]
        if isinstance(content, dict)
        else content
    )
    for number, row in enumerate(pairs, 1):
        if not isinstance(row, dict):
            raise BadInputError(f"--anchors {path}, record {number}: {repr(row)[:60]} is no record; wanted {_WANTED}")
        yield f"--anchors {path}, record {number}", row


def _csv_rows(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    header = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=header.count), strict=True)
    try:
        names = [(name or "").strip() for name in reader.fieldnames or ()]
    except csv.Error as error:
        raise BadInputError(f"--anchors {path}, line 1: {error}; wanted {_WANTED}") from None
    if "term" not in names:
        raise BadInputError(
            f"--anchors {path}, line 1: no column `term` among {', '.join(names)[:60] or 'none'}; wanted {_WANTED}"
        )
    reader.fieldnames = names
    try:
        for row in reader:
            place = f"--anchors {path}, line {reader.line_num}"
            if None in row:
                raise BadInputError(
                    f"{place}: {len(names) + len(row[None])} fields; wanted {len(names)}, with quotes around what holds"
                    " a separator"
                )
            if any(value and value.strip() for value in row.values()):
                yield place, {name: from_cell(value or "") for name, value in row.items()}
    except csv.Error as error:
        raise BadInputError(f"--anchors {path}, line {reader.line_num + 1}: {error}; wanted {_WANTED}") from None


def _check(place: str, row: Mapping[str, Any], seen: dict[str, str]) -> None:
    for name in ("term", "generic", "kind", "origin"):
        if not isinstance(row.get(name) or "", str):
            raise BadInputError(f"{place}: {name} is {row[name]!r}; wanted text")
    term, kind = _cell(row, "term"), _cell(row, "kind").upper()
    if not term:
        raise BadInputError(f"{place}: term is empty; wanted an expression of the forget text")
    if kind and kind not in KINDS:
        raise BadInputError(f"{place}: kind is {row['kind']!r}; wanted one of {', '.join(KINDS)}, or nothing")
    if spelling_key(term) in seen:
        raise BadInputError(
            f"{place}: term {term!r} stands there twice, as {seen[spelling_key(term)]!r} before; wanted each once"
        )
    seen[spelling_key(term)] = term


def _anchor(row: Mapping[str, Any]) -> Anchor:
    return Anchor(
        term=_cell(row, "term"),
        kind=_cell(row, "kind").upper(),
        count=0,
        log_odds_z=0.0,
        origin=_cell(row, "origin") or "user",
    )


def _cell(row: Mapping[str, Any], name: str) -> str:
    return (row.get(name) or "").strip()
