"""Anchors and their translations in files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks import store
from tasks.algorithms.text.anchors import Anchor
from tasks.artifacts import AnchorTable
from tasks.storage.plain_files import read_json, write_json, write_rows


def read_anchors(table: AnchorTable) -> list[Anchor]:
    """Read the anchors of a table."""
    return [Anchor(**row) for row in read_json(store.path(table) / "anchors.json")]


def read_dictionary(table: AnchorTable) -> dict[str, str]:
    """Read anchor term -> generic translation."""
    return {row["term"]: row["generic"] for row in read_json(store.path(table) / "dictionary.json")}


def read_kinds(table: AnchorTable) -> dict[str, str]:
    """Read anchor term -> kind, where it has one."""
    rows = read_json(store.path(table) / "dictionary.json")
    return {row["term"]: row["kind"] for row in rows if row.get("kind")}


def main_names(dictionary: AnchorTable) -> list[str]:
    """Read the anchors that are no form of another one, the most frequent first."""
    return [
        row["term"]
        for row in read_json(store.path(dictionary) / "dictionary.json")
        if row.get("canonical") in (None, "", row["term"])
    ]


def write_dictionary(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write anchors with their translations, for programs and for people."""
    write_json(folder / "dictionary.json", rows)
    write_rows(folder / "anchors.csv", rows)
