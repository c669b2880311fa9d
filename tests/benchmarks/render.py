"""The tables in `tests/benchmarks/README.md`, made from `results/*.json`; the prose around them is written by hand.

    python -m tests.benchmarks.render

A table stands between `<!-- table: NAME -->` and `<!-- end -->`, and what stands there is replaced. Each result has its
table and each table its place, once; `TABLES` says how they look.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.cells import Table
from tests.benchmarks.results import RESULTS, Measurement, Provenance, Row, read_result
from tests.benchmarks.tables import TABLES

if TYPE_CHECKING:
    import rich.table

MADE = Path(__file__).parent / "README.md"
PLACE = re.compile(r"<!-- table: (?P<name>\S+) -->\n(?P<made>.*?)<!-- end -->", re.DOTALL)


def in_place(text: str, folder: Path) -> str:
    """Return a text with all its tables made anew.

    Args:
        text: Markdown with a place for every table.
        folder: Where results lie.

    Raises:
        ValueError: If a result has no table, or a table not one place.
    """
    places = [place["name"] for place in PLACE.finditer(text)]
    if sorted(places) != sorted(TABLES):
        raise ValueError(f"there are places for the tables {sorted(places)}; wanted one for each of {sorted(TABLES)}")
    if strangers := sorted({file.stem for file in folder.glob("*.json")} - set(TABLES)):
        raise ValueError(f"no table shows the results {strangers}; wanted some of {sorted(TABLES)}")
    return PLACE.sub(lambda place: _place(place["name"], folder), text)


def _place(name: str, folder: Path) -> str:
    file = folder / f"{name}.json"
    made = markdown(TABLES[name], read_result(file)) if file.exists() else "Not on record yet.\n"
    return f"<!-- table: {name} -->\n{made}<!-- end -->"


def markdown(table: Table, measurements: Sequence[Measurement]) -> str:
    """Return a table and the provenance of its rows."""
    rows = [table.headings, ["---"] * len(table.headings), *table.cells(_rows(measurements))]
    lines = [f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in rows]
    return "\n".join([*lines, "", *_provenance(table, measurements), ""])


def on_console(name: str, file: Path) -> "rich.table.Table":
    """Return a result's table for the terminal."""
    import rich.table

    table, measurements = TABLES[name], read_result(file)
    shown = rich.table.Table(*table.headings, title=name, title_justify="left")
    for cells in table.cells(_rows(measurements)):
        shown.add_row(*cells)
    return shown


def _rows(measurements: Sequence[Measurement]) -> Mapping[str, Row]:
    found: dict[str, Row] = {}
    for part in measurements:
        found |= {name: row for name, row in part.figures.items() if name not in found}
    return found


def _provenance(table: Table, measurements: Sequence[Measurement]) -> list[str]:
    """Return a line for each measurement: the last one's in full, of those before it what differs."""
    last, *earlier = measurements
    lines = [f"Measured by {', '.join(_words(last.provenance).values())}."]
    for part in earlier:
        names = "; ".join(table.label(name) for name in part.figures)
        differing = [
            words for field, words in _words(part.provenance).items() if words != _words(last.provenance).get(field)
        ]
        lines.append(f"<br>{names}: {', '.join(differing)}.")
    return lines


def _words(provenance: Provenance) -> dict[str, str]:
    seeds = (
        f"seed{'s' * (len(provenance.seeds) > 1)} {', '.join(map(str, provenance.seeds))}" if provenance.seeds else ""
    )
    found = {
        "command": f"`{provenance.command}`",
        "seeds": seeds,
        "machine": f"on {provenance.machine}",
        "commit": (
            f"commit {provenance.commit}{' with uncommitted changes' * provenance.uncommitted} ({provenance.date})"
        ),
    }
    return {field: words for field, words in found.items() if words}


def main() -> None:
    """Make the tables anew."""
    MADE.write_text(in_place(MADE.read_text(encoding="utf-8"), RESULTS), encoding="utf-8")


if __name__ == "__main__":
    main()
