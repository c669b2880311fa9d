"""Text in tables that people open in a spreadsheet: a cell that begins with `= + - @` would be run there as a formula.

Such a cell gets an apostrophe in front, which spreadsheets take as a sign of text; reading takes it off again. A cell
that begins with apostrophes and then such a sign gets one more, so that every text comes back as it was.
"""

import re
from typing import Any

_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def as_cell(value: Any) -> Any:
    """Return a value for a table: a text that would be a formula with an apostrophe in front, all else as it is."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def from_cell(value: Any) -> Any:
    """Return what `as_cell` was given."""
    marked = isinstance(value, str) and value.startswith("'") and _FORMULA.match(value[1:])
    return value[1:] if marked else value
