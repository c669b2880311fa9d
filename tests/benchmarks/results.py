"""A benchmark's figures as they lie beside the code, `results/<name>.json`: by name, with their provenance.

    command, seeds, date, commit, uncommitted, machine    of the last measurement
    figures                                               row -> column -> value
    earlier                                               rows that it left as they were, with the same fields

A value is a number, a word, yes or no, null where nothing was measured, or a group of values: mean, least and most over
seeds.
"""

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
SIGNIFICANT = 5
"""Digits of a number that are kept: more than any of these measurements carries."""

Row = Mapping[str, Any]
"""Column -> value."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where figures come from."""

    command: str
    seeds: Sequence[int]
    """Empty where nothing is drawn."""
    date: str
    """Day on which the measurement began, ISO 8601."""
    commit: str
    """Of the code that ran, 7 digits; `unknown` outside a checkout."""
    uncommitted: bool
    """Whether the code differed from the commit."""
    machine: str
    """In a phrase: cores, GPU."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Rows of a table and their provenance."""

    provenance: Provenance
    figures: Mapping[str, Row]

    def without(self, rows: Iterable[str]) -> "Measurement":
        """Return what is left when some rows have been measured again."""
        return replace(self, figures={name: row for name, row in self.figures.items() if name not in set(rows)})


def spread(values: Iterable[float | None]) -> dict[str, float] | None:
    """Return mean, least and most of what was measured: the mean alone of one value, None of none."""
    found = [value for value in values if value is not None]
    extremes = {"least": min(found), "most": max(found)} if len(found) > 1 else {}
    return {"mean": statistics.fmean(found), **extremes} if found else None


def read_result(file: Path) -> list[Measurement]:
    """Return the measurements of a result, the last one first.

    Raises:
        ValueError: If the file lacks a field or has one too many.
    """
    value = json.loads(file.read_text(encoding="utf-8"))
    try:
        return [_measurement(part) for part in (value, *value.pop("earlier", ()))]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{file}: {error}; wanted figures, earlier, and the fields of Provenance") from error


def _measurement(value: dict[str, Any]) -> Measurement:
    figures = value.pop("figures")
    return Measurement(provenance=Provenance(**value), figures=figures)


def write_result(file: Path, measured: Measurement, *, keep: bool = False) -> None:
    """Write a result, numbers to `SIGNIFICANT` digits; its folder is made if need be.

    Args:
        file: Where to; what is there already is replaced.
        measured: What was measured now.
        keep: Whether rows that were not measured now stay, with their provenance; those of the same run, which writes
            row by row, stand with it.
    """
    before = read_result(file) if keep and file.exists() else []
    left = [part.without(measured.figures) for part in before]
    same = {name: row for part in left if part.provenance == measured.provenance for name, row in part.figures.items()}
    earlier = [part for part in left if part.figures and part.provenance != measured.provenance]
    measured = replace(measured, figures={**same, **measured.figures})
    value = _as_json(measured) | ({"earlier": [_as_json(part) for part in earlier]} if earlier else {})
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _as_json(measured: Measurement) -> dict[str, Any]:
    return {**asdict(measured.provenance), "figures": _rounded(measured.figures)}


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT}g}") if math.isfinite(value) else None
    return value
