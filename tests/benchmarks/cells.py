"""The form of a table, and the kinds of cells that it is put together from.

Nothing is computed here but the wording of a cell: a figure that a table shows stands in its result.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.results import Row

Cell = Callable[[Row], str]


@dataclass(frozen=True, kw_only=True)
class Table:
    """The form of a table."""

    first: str
    """Heading of the column with the rows' names."""
    columns: Mapping[str, Cell]
    """Heading -> what a row has there."""
    rows: Mapping[str, str] = field(default_factory=dict)
    """Row -> what the table calls it, in the order in which they stand; others follow, by their own names."""

    @property
    def headings(self) -> list[str]:
        """Return the first line."""
        return [self.first, *self.columns]

    def label(self, row: str) -> str:
        """Return what the table calls a row."""
        return self.rows.get(row, row)

    def cells(self, figures: Mapping[str, Row]) -> list[list[str]]:
        """Return the words of all lines but the first."""
        order = [*(name for name in self.rows if name in figures), *(name for name in figures if name not in self.rows)]
        return [[self.label(name), *(cell(figures[name]) for cell in self.columns.values())] for name in order]


def _at(row: Row, path: Sequence[str]) -> Any:
    value: Any = row
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def number(*path: str, form: str = ".3f", unit: str = "") -> Cell:
    """Return a cell with a number, or the mean of a group."""

    def cell(row: Row) -> str:
        value = _at(row, path)
        value = value.get("mean") if isinstance(value, Mapping) else value
        return "" if value is None else f"{value:{form}}{unit}"

    return cell


def words(*path: str) -> Cell:
    """Return a cell with a word, or yes and no."""

    def cell(row: Row) -> str:
        value = _at(row, path)
        return "" if value is None else {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)

    return cell


def joined(separator: str, *cells: Cell) -> Cell:
    """Return a cell with the words of several; empty where one of them is."""

    def cell(row: Row) -> str:
        found = [part(row) for part in cells]
        return separator.join(found) if all(found) else ""

    return cell


def several(*cells: Cell) -> Cell:
    """Return a cell with the first words, and those of the others that have any in brackets behind them."""

    def cell(row: Row) -> str:
        first, *others = (part(row) for part in cells)
        behind = ", ".join(other for other in others if other)
        return f"{first} ({behind})" if first and behind else first

    return cell


def extremes(*path: str, form: str = ".3f") -> Cell:
    """Return a cell with the least and the most over seeds."""
    return joined(", ", number(*path, "least", form=form), number(*path, "most", form=form))


def spread(*path: str, form: str = ".3f", unit: str = "") -> Cell:
    """Return a cell with the mean over seeds, and the extremes behind it."""
    return several(number(*path, form=form, unit=unit), extremes(*path, form=form))


def share(part: str, whole: str) -> Cell:
    """Return a cell with `2 of 3`."""
    return joined(" of ", number(part, form=","), number(whole, form=","))


def failed(row: Row) -> str:
    """Return the words of the checks that did not hold, with how often where there was more than one run."""
    if row.get("failed") is None:
        return ""
    often = row.get("runs", 1) > 1
    return (
        ", ".join(f"{check.replace('_', ' ')}{f' {count}' * often}" for check, count in row["failed"].items()) or "none"
    )
