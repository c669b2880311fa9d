"""Tables as records: CSV and TSV, told by their first line, and parquet. Their columns are named as the fields of JSON
records are.
"""

import csv
import io
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from tasks.artifacts import BadInputError

DELIMITERS = ",;\t"
SUFFIXES = (".csv", ".tsv")
LONGEST_CELL = 2**31 - 1
"""Characters of a cell: whole books stand in one."""
LONGEST_HEADER = 10_000
"""Characters of a first line that may name columns."""
ROWS = 1024
"""Rows of a parquet file that are read at a time."""


def column_names(text: str) -> list[str]:
    """Return what the first line of a text says if it names columns."""
    header = text.lstrip("\r\n").partition("\n")[0].strip("\r")
    if len(header) > LONGEST_HEADER:
        return []
    try:
        rows = list(csv.reader([header], delimiter=_delimiter(header), strict=True))
    except csv.Error:
        return []
    return [name.strip() for name in rows[0]] if len(rows) == 1 else []


def _delimiter(header: str) -> str:
    return max(DELIMITERS, key=header.count)


def read_cells(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line and cells of every row below the first, which names the columns.

    Raises:
        BadInputError: If a row has more cells or fewer than there are columns, or a quotation mark is not closed.
    """
    csv.field_size_limit(LONGEST_CELL)
    names = column_names(text)
    body = text.lstrip("\r\n")
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=_delimiter(body.partition("\n")[0]), strict=True)
    skipped = text[: len(text) - len(body)].count("\n")
    try:
        next(reader)
        for row in reader:
            line = reader.line_num + skipped
            if row and len(row) != len(names):
                raise BadInputError(
                    f"{path}, line {line}: {len(row)} cells; wanted {len(names)}, with quotation marks around what"
                    " holds a separator"
                )
            if row:
                yield line, dict(zip(names, row, strict=True))
    except csv.Error as error:
        raise BadInputError(f"{path}, line {reader.line_num + skipped}: {error}; wanted rows of cells") from None


def read_parquet(path: Path, fields: Collection[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield number and cells of every row of a parquet file, of those columns that are among `fields`.

    Raises:
        BadInputError: If it is damaged, or has none of them.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if not (columns := [name for name in dict.fromkeys(names) if name in fields]):
                raise BadInputError(f"{path} has the columns {', '.join(names)[:200]}; wanted some of {_all(fields)}")
            number = 0
            for batch in file.iter_batches(ROWS, columns=columns):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except BadInputError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, MemoryError, TypeError) as error:
        raise BadInputError(f"{path} is damaged ({type(error).__name__}); wanted a whole parquet file") from None


def _all(fields: Collection[str]) -> str:
    return ", ".join(fields)
