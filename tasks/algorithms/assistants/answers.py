"""What a language model answered, read for what it is worth: JSON, Python literals, and the many texts that are almost
one of the two.

A model that is asked for JSON answers with a fence around it, a sentence before it, single quotes, a comma too many, or
stops in the middle when its tokens run out. One tolerant scanner reads all of these: it skips what it does not
understand, keeps what is complete, never fails inside a container and never runs anything. On text that is strict JSON,
or the `repr` of a Python literal without sets, bytes and repeated keys, it returns what `json.loads` and
`ast.literal_eval` return (tuples as lists). Of a repeated key the first value counts: models that lose their thread
repeat themselves, and then drift. Time is linear in the length of the text.
"""

import re
from collections.abc import Iterator
from typing import Any

MOST_CHARACTERS = 200_000
"""What lies beyond is not read."""
MOST_DEPTH = 40
"""Containers inside each other; deeper ones are skipped."""

_NOTHING = object()
_THINKING = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_OPENING = re.compile(r"[{\[]")
_SPACE = re.compile(r"[\s,;]*")
_COLON = re.compile(r"\s*(?::|=>|->|=)")
_BARE = re.compile(r"[^\s,:{}\[\]()]+")
_JUNK = re.compile(r"[^\n,{}\[\]()]*")
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\n": ""}
_WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_CLOSING = {"{": "}", "[": "]", "(": ")"}
_QUOTES = {
    quote: re.compile(rf"\\.|{end}(?=\s*(?:[,:}}\])]|\Z)|[ \t]*(?:\n|#|//|=>|->))", re.DOTALL)
    for quote, end in ('""', "''", "\u201c\u201d", "\u2018\u2019")
}
"""Opening quote -> its end, which something structural follows: the apostrophe of 'Harry's' is none. Escapes match too,
so as to be stepped over."""

_TERM_KEYS = ("term", "anchor", "original", "source", "expression", "name", "from")
_GENERIC_KEYS = ("generic", "translation", "generic_translation", "replacement", "target", "to")


def read_values(text: str) -> list[Any]:
    """Return every object and list that stands in the text, in order, those that are cut off at its end with their
    complete parts.
    """
    return [value for value, _ in _Scanner(_without_reasoning(text)).containers()]


def read_value(text: str) -> Any:
    """Return the longest object or list that stands in the text.

    Raises:
        ValueError: If there is none.
    """
    containers = list(_Scanner(_without_reasoning(text)).containers())
    if not containers:
        raise ValueError("the answer holds no JSON; wanted an object or a list")
    return max(containers, key=lambda pair: pair[1])[0]


def read_pairs(text: str) -> dict[str, str]:
    """Return term -> generic from a dictionary, or a list of pairs or of objects, anywhere in the text; the first of
    equal terms counts.
    """
    pairs: dict[str, str] = {}
    for value in read_values(text):
        for term, generic in _pairs(value):
            pairs.setdefault(term.strip(), generic.strip())
    return pairs


def _without_reasoning(text: str) -> str:
    """Leave out the reasoning that a model writes before its answer."""
    return _THINKING.sub("", text[:MOST_CHARACTERS])


def _pairs(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        if len(value) == 2 and all(isinstance(item, str) for item in value):
            yield value[0], value[1]
        else:
            for item in value:
                yield from _pairs(item)
    elif isinstance(value, dict):
        term, generic = _field(value, _TERM_KEYS), _field(value, _GENERIC_KEYS)
        if term is not None and generic is not None:
            yield term, generic
        else:
            yield from _entries(value)


def _entries(value: dict[Any, Any]) -> Iterator[tuple[str, str]]:
    """Read a dictionary, whose values may be texts, objects with a generic field, or dictionaries in turn."""
    for key, item in value.items():
        generic = item if isinstance(item, str) else _field(item, _GENERIC_KEYS) if isinstance(item, dict) else None
        if generic is None:
            yield from _pairs(item)
        elif isinstance(key, str):
            yield key, generic


def _field(value: dict[Any, Any], names: tuple[str, ...]) -> str | None:
    return next((value[name] for name in names if isinstance(value.get(name), str)), None)


class _Scanner:
    """Reads values from `text`, left to right; `_at` is the next character, and never goes back."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def containers(self) -> Iterator[tuple[Any, int]]:
        """Yield each outermost container and how many characters it took."""
        while opening := _OPENING.search(self._text, self._at):
            self._at = opening.start()
            yield self._value(0), self._at - opening.start()

    def _value(self, depth: int) -> Any:
        """Read a value; nothing where there is none, or where the text ends before it does. Moves on, save at a closing
        bracket.
        """
        self._skip(_SPACE)
        sign = self._text[self._at : self._at + 1]
        if sign in _CLOSING.values():
            return _NOTHING
        if sign in _CLOSING and depth < MOST_DEPTH:
            self._at += 1
            return self._object(depth + 1) if sign == "{" else self._list(depth + 1)
        return self._string(_QUOTES[sign]) if sign in _QUOTES else self._word()

    def _object(self, depth: int) -> dict[Any, Any]:
        entries: dict[Any, Any] = {}
        while self._goes_on():
            key = self._value(depth)
            if not self._skip(_COLON):
                continue
            value = self._value(depth)
            if value is not _NOTHING and (key is None or isinstance(key, (str, int, float))):
                entries.setdefault(key, value)
        return entries

    def _list(self, depth: int) -> list[Any]:
        items = []
        while self._goes_on():
            value = self._value(depth)
            if value is not _NOTHING:
                items.append(value)
            self._skip(_COLON)
        return items

    def _goes_on(self) -> bool:
        """Return whether the container holds more; a closing bracket, of whatever kind, ends it."""
        self._skip(_SPACE)
        if self._at >= len(self._text):
            return False
        if self._text[self._at] in _CLOSING.values():
            self._at += 1
            return False
        return True

    def _string(self, ends: re.Pattern[str]) -> Any:
        start = self._at + 1
        end = next((match for match in ends.finditer(self._text, start) if not match.group().startswith("\\")), None)
        self._at = end.end() if end else len(self._text)
        return _unescape(self._text[start : end.start()]) if end else _NOTHING

    def _word(self) -> Any:
        """Read a number, a truth value or null; anything else is skipped up to where something new may begin."""
        word = _BARE.match(self._text, self._at)
        ended = word is not None and word.end() < len(self._text)
        if word and ended and (word.group() in _WORDS or _NUMBER.fullmatch(word.group())):
            self._at = word.end()
            return _WORDS[word.group()] if word.group() in _WORDS else _number(word.group())
        if not self._skip(_JUNK):
            self._at += 1
        return _NOTHING

    def _skip(self, expression: re.Pattern[str]) -> bool:
        """Step over what the expression finds here; return whether that was anything."""
        match = expression.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return bool(match and match.group())


def _number(word: str) -> int | float:
    return float(word) if re.search(r"[.eE]", word) or len(word) > 40 else int(word)


def _unescape(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        code = match.group(1) or match.group(2) or match.group(3)
        return chr(min(int(code, 16), 0x10FFFF)) if code else _ESCAPED.get(match.group(4), match.group(4))

    if "\\" not in text:
        return text
    # halves of a pair become one sign
    return _ESCAPE.sub(plain, text).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
