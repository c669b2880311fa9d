"""JSON and CSV that people can read too."""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.algorithms.text.cells import as_cell

if TYPE_CHECKING:
    import pandas


def write_json(path: Path, value: Any) -> None:
    """Write JSON that people can read too; a number that is not finite, which JSON has not, is null."""
    path.write_text(json.dumps(finite(value), indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def finite(value: Any) -> Any:
    """Return what is to become JSON with None in place of numbers that are not finite."""
    if isinstance(value, dict):
        return {name: finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows of equal fields as CSV, for spreadsheets too: see `cells`."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows({name: as_cell(value) for name, value in row.items()} for row in rows)


def write_frame(path: Path, frame: "pandas.DataFrame") -> None:
    """Write a table as CSV, for spreadsheets too: see `cells`."""
    frame.map(as_cell).to_csv(path, index=False)
