"""Damaged variants of good files: bytes turned, lines lost, JSON values exchanged, nesting, numbers, letters of all
kinds. Each is made from a seed, so that it can be made again.
"""

import copy
import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

LETTERS = (
    *("\x00", "\ufeff", "\u2028", "\x85", "\x0b", "\x1c", "\r", "\u202e", "\u0301", "\U0001f600", "\uffff", "\t"),
    *('"', "'", "\\", "\\u0000", "\\ud800", "{}", "{", "}", "[", "]", ":", ",", "- ", "&a ", "*a", "!!python/name:os"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**64), 10**30, 10**400, 0.5, 1e308, float("nan"), float("inf")),
    *("", " ", "x", "\x00", "\ud800", "null", "none", "nan", "a" * 5000, "{}", "{} {}", "../..", "1e999", "=1+1"),
    *([], [[]], {}, [{}], {"": ""}, {"a": {"b": {}}}, [None], [1, "a"], ["a"], ["a", "b"], {"0": "a"}),
)


def mutated(seeds: Sequence[bytes], number: int) -> bytes:
    """Return the variant of this number: one to four changes of one of the seeds."""
    drawn = random.Random(number)
    content = drawn.choice(seeds)
    for _ in range(drawn.choice((1, 1, 1, 2, 2, 4))):
        content = drawn.choice(CHANGES)(content, drawn, seeds)
    return content


def _flip(content: bytes, drawn: random.Random, seeds: Sequence[bytes]) -> bytes:
    turned = bytearray(content)
    for _ in range(drawn.randint(1, 8)):
        if turned:
            turned[drawn.randrange(len(turned))] ^= 1 << drawn.randrange(8)
    return bytes(turned)


def _set(content: bytes, drawn: random.Random, seeds: Sequence[bytes]) -> bytes:
    turned = bytearray(content)
    if turned:
        turned[drawn.randrange(len(turned))] = drawn.choice((0, 0xFF, 0x80, 0x0A, 0x22, drawn.randrange(256)))
    return bytes(turned)


def _cut(content: bytes, drawn: random.Random, seeds: Sequence[bytes]) -> bytes:
    start = drawn.randint(0, len(content))
    end = len(content) if drawn.random() < 0.4 else drawn.randint(start, len(content))
    return content[:start] + content[end:]


def _repeat(content: bytes, drawn: random.Random, seeds: Sequence[bytes]) -> bytes:
    start = drawn.randint(0, len(content))
    return content[:start] + content[start : start + drawn.randint(1, 60)] * drawn.choice((2, 3, 300)) + content[start:]


def _splice(content: bytes, drawn: random.Random, seeds: Sequence[bytes]) -> bytes:
    other = drawn.choice(seeds)
    return content[: drawn.randint(0, len(content))] + other[drawn.randint(0, len(other)) :]


def _letter(content: bytes, drawn: random.Random, seeds: Sequence[bytes]) -> bytes:
    start = drawn.randint(0, len(content))
    return content[:start] + drawn.choice(LETTERS).encode() + content[start:]


def _nest(content: bytes, drawn: random.Random, seeds: Sequence[bytes]) -> bytes:
    start, levels = drawn.randint(0, len(content)), drawn.choice((3, 70, 500, 1100, 20_000))
    opening, closing = drawn.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"- ", b""), (b"{a: ", b"}")))
    end = closing * levels if drawn.random() < 0.5 else b""
    return content[:start] + opening * levels + content[start : start + 1] + end + content[start + 1 :]


def _number(content: bytes, drawn: random.Random, seeds: Sequence[bytes]) -> bytes:
    numbers = list(re.finditer(rb"\d+", content))
    if not numbers:
        return content
    found = drawn.choice(numbers)
    new = drawn.choice((b"-1", b"0", b"9" * 20, b"9" * 5000, b"1e999", b"0.5", b"nan", b"1_0", b"0x10", b"null"))
    return content[: found.start()] + new + content[found.end() :]


def _lines(content: bytes, drawn: random.Random, seeds: Sequence[bytes]) -> bytes:
    lines = content.split(b"\n")
    drawn.choice((drawn.shuffle, lambda many: many.pop(drawn.randrange(len(many))), lambda many: many.insert(0, b"")))(
        lines
    )
    return drawn.choice((b"\n", b"\r\n", b"\n\n", b"\r")).join(lines)


def _recode(content: bytes, drawn: random.Random, seeds: Sequence[bytes]) -> bytes:
    text = content.decode("utf-8", errors="replace")
    return text.encode(drawn.choice(("utf-16", "utf-32", "latin-1", "utf-8-sig", "utf-16-le", "utf-7")), "replace")


def _exchange(content: bytes, drawn: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Change a value, a key or an order in a JSON text, or in one of its lines."""
    lines = [content] if drawn.random() < 0.5 else content.split(b"\n")
    place = drawn.randrange(len(lines))
    try:
        value = _changed(json.loads(lines[place]), drawn)
        lines[place] = json.dumps(value, ensure_ascii=drawn.random() < 0.9).encode("utf-8", "replace")
    except (ValueError, RecursionError):  # an earlier change has broken it, or nested it
        return content
    return b"\n".join(lines)


def _changed(value: Any, drawn: random.Random) -> Any:
    """Return a copy with one of its values, at any depth, changed."""
    holder: dict[Any, Any] = {"whole": copy.deepcopy(value)}
    within, key = drawn.choice(list(_places(holder)))
    match drawn.randrange(6):
        case 0 if isinstance(within, dict) and within is not holder:
            within[drawn.choice(("", "text", "a" * 300, "\u2028", f"{key}s"))] = within.pop(key)
        case 1 if within is not holder:
            del within[key]
        case 2:
            within[key] = [within[key]]
        case 3:
            within[key] = {"0": within[key]}
        case 4:
            other, name = drawn.choice(list(_places(holder)))
            within[key] = copy.deepcopy(other[name])
        case _:
            within[key] = drawn.choice(VALUES)
    return holder["whole"]


def _places(value: Any) -> Any:
    """Yield every holder with a key in it."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


Change = Callable[[bytes, random.Random, Sequence[bytes]], bytes]
CHANGES: tuple[Change, ...] = (
    *(_flip, _set, _cut, _repeat, _splice, _letter, _nest, _number, _lines, _recode),
    *(_exchange,) * 8,
)
"""What is done to a file; values are exchanged most often, since that gets furthest."""
