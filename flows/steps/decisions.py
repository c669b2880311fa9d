"""What a person has decided in reviews of one request, from run to run: a later run asks only about what is new.

A review shows tables of rows, each a tuple of texts, and a person keeps, drops or adds rows; one that they change is
dropped, and another added. Everything is kept in the store as a forget artifact, one file a request, which `purge`
deletes; what was read from a form is there before the form is deleted from its server, so that a flow run that is
suspended or tried again goes on from it.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from tasks import store
from tasks.removals.records import Removal
from tasks.storage.plain_files import read_json, write_json

KIND = "reviews"
Row = tuple[str, ...]


class Shown(NamedTuple):
    """A row of a form."""

    keep: bool
    row: Row


@dataclass(kw_only=True)
class Table:
    """What was decided of one table's rows."""

    kept: list[Row] = field(default_factory=list)
    """Of what was proposed."""
    dropped: list[Row] = field(default_factory=list)
    added: list[Row] = field(default_factory=list)
    """What nobody had proposed, in its order."""
    name_length: int | None = None
    """How many of a row's fields, from the first on, name it: a table has one row of a name. None: all."""

    def undecided(self, proposed: Iterable[Row]) -> list[Row]:
        """Return what a person has not seen yet."""
        decided = {*self.kept, *self.dropped}
        return [row for row in proposed if row not in decided]

    def wanted(self, proposed: Iterable[Row]) -> list[Row]:
        """Return what a person wants of what is proposed, and what they added."""
        kept = set(self.kept)
        return list(dict.fromkeys([*(row for row in proposed if row in kept), *self.added]))

    def shown(self, proposed: Sequence[Row], *, everything: bool) -> list[Shown]:
        """Return what is asked about: what is new, or everything as it was decided. Where a person once put a row of
        their own in the place of one of that name, that is what they see.
        """
        own, kept, dropped = {self._name(row): row for row in self.added}, set(self.kept), set(self.dropped)
        rows = [
            Shown(True, own[self._name(row)])
            if self._name(row) in own and row not in kept
            else Shown(row not in dropped, row)
            for row in (proposed if everything else self.undecided(proposed))
        ]
        return list(dict.fromkeys([*rows, *(Shown(True, row) for row in self.added if everything)]))

    def decide(self, proposed: Iterable[Row], shown: Iterable[Shown], sent: Iterable[Shown]) -> None:
        """Take what a person sent back: a row that was shown and is not there any more is dropped.

        Args:
            proposed: All that is proposed.
            shown: What was in the form.
            sent: What is in it now.
        """
        proposed, sent = list(proposed), list(sent)
        wanted = [row for keep, row in sent if keep]
        named = {self._name(row) for _, row in (*shown, *sent)}
        seen = [row for row in proposed if self._name(row) in named]
        self.kept = [row for row in self.kept if row not in seen] + [row for row in seen if row in wanted]
        self.dropped = [row for row in self.dropped if row not in seen] + [row for row in seen if row not in wanted]
        self.added = [row for row in self.added if self._name(row) not in named]
        self.added += [row for row in wanted if row not in proposed]

    def _name(self, row: Row) -> Row:
        return row[: self.name_length]


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """All decisions on one request."""

    request: str
    """What the request is known by, which tells nothing of it."""

    def read(self, names: Mapping[str, int | None]) -> dict[str, Table]:
        """Return the tables of these names as they were decided.

        Args:
            names: Table -> how many fields name a row.
        """
        stored = self._stored()["tables"]
        return {
            name: Table(
                name_length=length,
                **{part: [tuple(row) for row in rows] for part, rows in stored.get(name, {}).items()},
            )
            for name, length in names.items()
        }

    def is_known(self, names: Iterable[str]) -> bool:
        """Return whether a person has ever decided on one of these tables."""
        return any(name in self._stored()["tables"] for name in names)

    def asked_in(self, stage: str) -> str:
        """Return the flow run in which a stage's form was last read, or an empty text."""
        return str(self._stored()["asked"].get(stage, ""))

    def change(
        self, stage: str, flow_run: str, names: Mapping[str, int | None], decide: Callable[[dict[str, Table]], None]
    ) -> None:
        """Change tables, and note in which flow run; another run for the same request may do the same beside it."""
        with store.lock(f"review-{self.request}"):
            tables = self.read(names)
            decide(tables)
            stored = self._stored()
            rows = {
                name: {part: rows for part, rows in asdict(table).items() if part != "name_length"}
                for name, table in tables.items()
            }
            _write(self._file(), {"tables": stored["tables"] | rows, "asked": stored["asked"] | {stage: flow_run}})

    def _stored(self) -> dict[str, dict[str, object]]:
        file = self._file()
        return read_json(file) if file.is_file() else {"tables": {}, "asked": {}}

    def _file(self) -> Path:
        return store.growing(KIND) / f"{self.request}.json"


def decisions_on(removal: Removal | None, files: Iterable[str | Path]) -> Decisions:
    """Return what was decided for a removal request, or else on files of these names, whatever they say today."""
    if removal:
        return Decisions(request=removal.id)
    names = sorted(str(Path(file).resolve()) for file in files)
    return Decisions(request=store.keyed(json.dumps(names))[:32])


def _write(file: Path, value: Mapping[str, object]) -> None:
    temporary = file.with_suffix(".tmp")
    write_json(temporary, value)
    temporary.replace(file)
