"""Scripts whose words are not spaced, and marks that stand on letters: where a word may begin and end, and what a text
is counted in.

Where words are spaced a text is counted in words; elsewhere in letters, each with its marks, since nothing in the text
says where a word ends. That is coarser than a dictionary would be, and the same for every model that is compared.
"""

import functools
import re
import unicodedata
from collections.abc import Iterable

KATAKANA = "\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
UNSPACED = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1b00-\u1b7f"  # Thai, Lao to Bali
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303b\u3041-\u3096\u3099-\u309f"  # radicals, Hiragana
    "\u3105-\u312f\u31a0-\u31bf\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua980-\ua9ff\uaa60-\uaadf\uf900-\ufaff"
    "\U00020000-\U0003ffff"
) + KATAKANA
"""Characters of scripts that put no space between words, as the inside of a class of a regular expression."""
HANGUL = "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"
"""Korean spaces words, and hangs particles on them."""
ARABIC = "\u0621-\u064a\u0671-\u06d3"
ARABIC_PREFIXES = "\u0648\u0641\u0628\u0644\u0643"
"""And, so, in, to, like: Arabic writes them onto the word that follows."""
_HOLDS_UNSPACED = re.compile(f"[{UNSPACED}]")


def marks(signs: str = "\uffff") -> str:
    """Return the combining marks that may stand on such letters, as the inside of a class of a regular expression; they
    are no letters, and parts of words.

    Latin, Greek and Cyrillic have a few blocks of their own, and classes without characters beyond the first plane are
    five times as fast: both are what nearly all text is in.
    """
    last = max(signs, default="")
    return _EUROPEAN if last < "\u0590" else _marks_up_to(0xFFFF if last <= "\uffff" else 0xE01EF)


_EUROPEAN = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff"


@functools.cache
def _marks_up_to(last: int) -> str:
    points = [
        point for point in (*range(0x300, 0x20000), *range(0xE0100, 0xE01F0)) if _is_mark(point) and point <= last
    ]
    begins = [point for at, point in enumerate(points) if not at or points[at - 1] != point - 1]
    ends = [point for at, point in enumerate(points) if at + 1 == len(points) or points[at + 1] != point + 1]
    return "".join(f"{chr(first)}-{chr(end)}" for first, end in zip(begins, ends, strict=True))


def _is_mark(point: int) -> bool:
    return unicodedata.category(chr(point)).startswith("M")


def word_begin(words: Iterable[str]) -> str:
    """Return an expression of no width that holds where one of these words may begin.

    No letter and no mark may stand before it, save where its script spaces no words, or Arabic writes a particle onto
    it. Katakana spells foreign names, and runs of it are words: no other Katakana may stand there.
    """
    first = "".join(sorted({word[0] for word in words if word}))
    inside = f"\\w{marks(first)}"
    ways = [f"(?<![{inside}])"]
    if re.search(f"[{UNSPACED}]", first):
        ways = [f"(?![{UNSPACED}]){ways[0]}", f"(?=[{UNSPACED}])(?![{KATAKANA}])", f"(?=[{KATAKANA}])(?<![{KATAKANA}])"]
    if re.search(f"[{ARABIC}]", first):
        ways.append(f"(?=[{ARABIC}]{{3}})(?<=(?<![{inside}])[{ARABIC_PREFIXES}])")
    return f"(?:{'|'.join(ways)})"


def word_end(words: Iterable[str], ending: str = "") -> str:
    """Return an expression of no width that holds where one of these words may end.

    Args:
        words: In their composed form.
        ending: What may stand between a spaced word and its end, as an expression.
    """
    last = "".join(sorted({word[-1] for word in words if word}))
    own = marks(last)
    ways = [f"(?={ending}(?![\\w{own}]))"]
    if re.search(f"[{UNSPACED}]", last):
        ways += [f"(?<=[{UNSPACED}])(?<![{KATAKANA}])(?![{own}])", f"(?<=[{KATAKANA}])(?![{KATAKANA}{own}])"]
    if re.search(f"[{HANGUL}]", last):
        ways.append(f"(?<=[{HANGUL}])(?![{own}\u1160-\u11ff])")
    return f"(?:{'|'.join(ways)})"


def spellings(sign: str) -> str:
    """Return an expression for a character as one code point or as a letter with its marks."""
    apart = unicodedata.normalize("NFD", sign)
    return re.escape(sign) if apart == sign else f"(?:{re.escape(sign)}|{re.escape(apart)})"


def is_unspaced(text: str) -> bool:
    """Return whether a text holds a letter of a script that does not space its words."""
    return _HOLDS_UNSPACED.search(text) is not None


def spoken_units(text: str) -> list[str]:
    """Return what a text is counted in: its words with the signs that stand at them, letters where words are not
    spaced.
    """
    return [unit for word in text.split() for unit in (_units(word) if is_unspaced(word) else [word])]


def _units(word: str) -> list[str]:
    return [match.group() for match in _piece().finditer(word)]


def compared_units(text: str) -> list[str]:
    """Return what two texts are compared by: words in lower case without signs, letters where words are not spaced; one
    spelling for all ways to write a letter with a mark.
    """
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text).casefold())
    return [unit for match in _word().finditer(text) for unit in _units(match.group())]


@functools.cache
def _word() -> re.Pattern[str]:
    """A run of letters, digits and their marks; NFC leaves marks that have no letter of their own."""
    return re.compile(rf"[^\W_](?:[^\W_]|[{marks()}])*")


@functools.cache
def _piece() -> re.Pattern[str]:
    """One letter of a script that is not spaced with its marks, or what stands between such letters."""
    return re.compile(rf"[{UNSPACED}][{marks()}]*|[^{UNSPACED}]+")


def first_units(text: str, count: int) -> str:
    """Return the beginning of a text, so many words long, or letters where words are not spaced."""
    if not is_unspaced(text):
        return " ".join(text.split()[:count])
    return text[: _end_of(text, count)].strip()


def last_units(text: str, count: int) -> str:
    """Return the end of a text, so many words long, or letters where words are not spaced."""
    if not is_unspaced(text):
        return " ".join(text.split(" ")[-count:]).rstrip()
    spots = [match.start() for match in _spot().finditer(text)]
    return text[spots[-count] if len(spots) >= count else 0 :].rstrip()


def _end_of(text: str, count: int) -> int:
    spots = [match.end() for match in _spot().finditer(text)]
    return spots[min(count, len(spots)) - 1] if spots else 0


@functools.cache
def _spot() -> re.Pattern[str]:
    """A unit where it stands in a text."""
    return re.compile(rf"[{UNSPACED}][{marks()}]*|[^\s{UNSPACED}]+")
