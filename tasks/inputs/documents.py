"""Files of text as documents, told by their content: JSON records, tables, prose."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.algorithms.text.corpus import Document
from tasks.algorithms.text.json_values import stream_json
from tasks.artifacts import BadInputError
from tasks.inputs.plain_text import PARQUET, decoded, other_kind
from tasks.inputs.tables import SUFFIXES, column_names, read_cells, read_parquet
from tasks.inputs.text_records import FIELDS, WANTED, documents_of, names_shape

HEAD = 1000
"""Characters that tell records from prose."""
_RECORD = re.compile(
    r"""\[?\s*\{\s*(?:\}|\Z|(["'])(?:\\.|(?!\1)[^\\\n])*(?:\1\s*(?::|\Z)|\Z))   # a key, quoted, and its colon
    |\[\s*(?:\Z|"(?:\\.|[^"\\\n])*"\s*,)                                         # a text of a list, and a comma""",
    re.VERBOSE,
)
"""How JSON records begin, whole or not; prose may begin with a bracket, a brace or a quotation mark too."""
_MAY_BE_JSON = ("{", "[", '"')


@dataclass(frozen=True, kw_only=True)
class TextFile:
    """What a file says."""

    documents: list[Document]
    """In order, not yet cleaned."""
    blank: int = 0
    """Records without a letter, which are left out."""


def read_text_file(path: Path) -> TextFile:
    """Read one file: parquet, CSV and TSV whose columns name the fields of records, JSON and JSON-lines records by
    their content, everything else as prose.

    Raises:
        BadInputError: If it is empty, of another kind, not UTF-8, or holds a record that cannot be understood; file and
            line are named, the fields that were found and those that were wanted.
    """
    if reason := other_kind(path):
        raise BadInputError(f"{path} {reason}")
    raw = path.read_bytes()
    if raw.startswith(PARQUET):
        return _documents(path, ((f"row {number}", number, row) for number, row in read_parquet(path, FIELDS)))
    text = decoded(path, raw)
    if not text.strip():
        raise BadInputError(f"{path} is empty; wanted text or JSON-lines records")
    records = _records(path, text)
    return TextFile(documents=[Document(source=path.name, text=text)]) if records is None else _documents(path, records)


def _documents(path: Path, records: Iterable[tuple[str, int, Any]]) -> TextFile:
    found: list[Document] = []
    blank = 0
    for place, number, record in records:
        try:
            documents = documents_of(record, f"{path.name}:{number}")
        except ValueError as error:
            raise BadInputError(f"{path}, {place}: {error}") from None
        found += documents
        blank += not documents
    if not found:
        raise BadInputError(f"{path} holds {f'{blank} blank records' if blank else 'no records'}; wanted {WANTED}")
    return TextFile(documents=found, blank=blank)


def _records(path: Path, text: str) -> Iterable[tuple[str, int, Any]] | None:
    """Return the records of a text, each with its place, or None if it is prose."""
    head = text.lstrip()[:HEAD]
    if head.startswith(_MAY_BE_JSON):
        surely = _RECORD.match(head) is not None
        try:
            return list(_json_records(stream_json(text)))
        except ValueError as error:
            if surely:
                raise BadInputError(f"{path}, {error}; wanted JSON records that follow each other, or a list") from None
            return None
    names = column_names(text)
    if path.suffix.lower() not in SUFFIXES and not _surely_columns(names):
        return None
    if not names_shape(names):
        raise BadInputError(f"{path}, line 1: the columns are {', '.join(names)[:HEAD] or 'none'}; wanted {WANTED}")
    return ((f"line {line}", line, row) for line, row in read_cells(path, text))


def _surely_columns(names: list[str]) -> bool:
    """Return whether a first line names columns, rather than being a sentence with commas."""
    return len(names) > 1 and all(re.fullmatch(r"\w+", name) for name in names) and names_shape(names)


def _json_records(values: Iterable[tuple[int, Any]]) -> Iterator[tuple[str, int, Any]]:
    """Yield the records of JSON lines, or of the list that is the whole text."""
    lines = list(values)
    if len(lines) == 1 and isinstance(lines[0][1], list):
        yield from ((f"record {number}", number, record) for number, record in enumerate(lines[0][1], 1))
    else:
        yield from ((f"line {line}", line, record) for line, record in lines)
