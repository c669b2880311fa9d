"""JSON that users bring: whatever cannot be worked with ends as a `ValueError` of one plain line, which quotes nothing
of the file.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
DEEPEST = 64
"""Levels of a value: whatever goes through it later does so level by level, and ends at a thousand."""
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""What may be half of a surrogate pair, which no file can be written with."""


def parse_json(text: str) -> Any:
    """Return the value of a text.

    Raises:
        json.JSONDecodeError: If it is no JSON.
        ValueError: If it is nested too deeply, holds a number of thousands of digits, or half of a surrogate pair.
    """
    try:
        return _checked(text, json.loads(text))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def stream_json(text: str) -> Iterator[tuple[int, Any]]:
    """Yield the values that follow each other in a text, with nothing but white space between them, each with the line
    on which it begins.

    Raises:
        ValueError: If what follows is none; its line and the fault are named.
    """
    line, end = 1, 0
    while (start := _SPACE.match(text, end).end()) < len(text):
        line += text.count("\n", end, start)
        try:
            value, end = _DECODER.raw_decode(text, start)
            _checked(text[start:end], value)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {line}: {error.msg.removesuffix(' at')}") from None
        except RecursionError:
            raise ValueError(f"line {line}: it is nested too deeply") from None
        except ValueError as error:
            raise ValueError(f"line {line}: {error}") from None
        yield line, value
        line += text.count("\n", start, end)


def _checked(text: str, value: Any) -> Any:
    level, depth = [value], 0
    while level := [inner for outer in level for inner in _inside(outer)]:
        depth += 1
        if depth > DEEPEST:
            raise ValueError("it is nested too deeply")
    require_letters(text, value)
    return value


def require_letters(text: str, value: Any) -> None:
    """Refuse a value with half of a surrogate pair in it.

    Raises:
        ValueError: If its text, `text`, holds one.
    """
    if _HALF.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("it holds half of a surrogate pair, which is no letter") from None


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
