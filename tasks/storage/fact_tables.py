"""Facts in files."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import store
from tasks.algorithms.text.facts import FactTriple
from tasks.artifacts import FactTable
from tasks.storage.plain_files import read_json, write_frame, write_json

if TYPE_CHECKING:
    import pandas


def write_facts(folder: Path, facts: Sequence[FactTriple]) -> None:
    """Write facts, for programs and for people."""
    write_json(folder / "facts.json", [dataclasses.asdict(fact) for fact in facts])
    write_frame(folder / "facts.csv", fact_frame(facts))


def fact_frame(facts: Sequence[FactTriple]) -> "pandas.DataFrame":
    """Return facts as a table, which has its columns even where there are none."""
    import pandas

    return pandas.DataFrame(
        [dataclasses.asdict(fact) for fact in facts], columns=[field.name for field in dataclasses.fields(FactTriple)]
    )


def read_facts(table: FactTable, split: str | None = None) -> list[FactTriple]:
    """Read the facts of a table, or those of one split."""
    facts = [FactTriple(**row) for row in read_json(store.path(table) / "facts.json")]
    return [fact for fact in facts if split in (None, fact.split)]
