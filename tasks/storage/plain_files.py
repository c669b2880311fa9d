"""JSON and CSV that people can read too."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Any) -> None:
    """Write JSON that people can read too."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows of equal fields as CSV."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)
