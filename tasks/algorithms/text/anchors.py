"""Anchor terms: words that belong to the text that is to be forgotten, and where they stand in a text.

A term is found in every *spelling*: with a hyphen, a line break or a space between its words, with curly or straight
quotes, with accents as letters of their own or as marks; and where words are not spaced, wherever it stands. What
follows a name stays outside: of `Dorothy's` and `Munchkins` the anchors are `Dorothy` and `Munchkin`, and
the ending is kept in a translation. All that is found counts for the term as the table has it.

The terms are one expression in the form of a tree over their characters, so that finding takes time in the length of
the text and hardly in the number of terms.
"""

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tasks.algorithms.text.scripts import spellings, word_begin, word_end

_SIGNS = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u02bc\u00b4`", "'"),
        **dict.fromkeys("\u201c\u201d", '"'),
        **dict.fromkeys("\u2010\u2011", "-"),
    }
)
_JOINT = re.compile(r"(?<=\w)-\n?(?=\w)|\s+")
_UNITS = {
    # a blank line ends a paragraph, and no name goes across
    " ": r"(?:(?<=\w)[-\u2010\u2011]\n?(?=\w)|[^\S\n]+|[^\S\n]*\n[^\S\n]*)",
    "'": r"['\u2018\u2019\u02bc\u00b4`]",
    '"': r'["\u201c\u201d]',
    "-": r"[-\u2010\u2011]",
}
_ENDING = r"(?:(?<=\w{3})s|(?<=[sxz])es|(?<=[cs]h)es)?"
"""A plural may follow, of words of three letters and more: `Has` is not the plural of `Ha`."""
KINDS = ("PERSON", "PLACE", "GROUP", "THING")
"""What an anchor may name; what is no person, place or group is a thing."""


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """One anchor term as it is written in the forget text."""

    term: str
    canonical: str = ""
    """The fullest form of the same name: `Harry Potter` for `Harry` and `Potter`; the term itself where there is
    none."""
    kind: str
    """One of KINDS."""
    count: int
    log_odds_z: float
    origin: str
    """`entity`, `log-odds`, both joined by `+`, or `user`."""


class AnchorMatch(NamedTuple):
    """One occurrence of an anchor: characters [start, end), and the term that stands there in some spelling."""

    start: int
    end: int
    term: str


@dataclass(frozen=True)
class AnchorExpression:
    """Finds whole-word occurrences of any of its terms in any spelling, the longest first."""

    pattern: re.Pattern[str]
    terms: Mapping[str, str]
    """Spelling key -> term."""

    def find(self, text: str) -> Iterator[AnchorMatch]:
        """Yield the anchors of `text`, left to right, none overlapping."""
        for match in self.pattern.finditer(text):
            yield AnchorMatch(match.start(), match.end(), self.terms[spelling_key(match.group())])

    def occurs_in(self, text: str) -> bool:
        """Return whether `text` holds any of the terms."""
        return self.pattern.search(text) is not None


def spelling_key(term: str) -> str:
    """Return what all spellings of a term have in common: letters and their marks composed, straight quotes, and one
    space where words are joined.
    """
    return _JOINT.sub(" ", unicodedata.normalize("NFC", term).translate(_SIGNS))


def anchor_expression(terms: Iterable[str]) -> AnchorExpression:
    """Return one expression for all terms; of two spellings of one term the first in the alphabet stands for both.
    Without terms it finds nothing.
    """
    return _expression(tuple(sorted({term for term in terms if term.strip()})))


@functools.lru_cache(maxsize=8)  # documents are aligned one by one, all with the same terms
def _expression(terms: tuple[str, ...]) -> AnchorExpression:
    keys = {spelling_key(term): term for term in reversed(terms)}
    pattern = word_begin(keys) + _tree(sorted(keys)) + word_end(keys, _ENDING) if keys else r"(?!)"
    return AnchorExpression(re.compile(pattern), keys)


def _tree(keys: list[str]) -> str:
    """Return an expression for any of `keys`, the longest that fits; beginnings that they share are written once."""
    shared = _shared_beginning(keys)
    rests = [key[len(shared) :] for key in keys]
    branches: dict[str, list[str]] = {}
    for rest in rests:
        if rest:
            branches.setdefault(rest[0], []).append(rest)
    beginning = "".join(_UNITS.get(sign) or spellings(sign) for sign in shared)
    if not branches:
        return beginning
    return f"{beginning}(?:{'|'.join(_tree(branch) for branch in branches.values())}){'?' if '' in rests else ''}"


def _shared_beginning(keys: list[str]) -> str:
    """In sorted keys, what the first and the last share, all share."""
    first, last = keys[0], keys[-1]
    return next((first[:index] for index, sign in enumerate(first) if last[index : index + 1] != sign), first)


def find_anchors(text: str, expression: AnchorExpression) -> list[AnchorMatch]:
    """Return the anchors in `text`, left to right, none overlapping."""
    return list(expression.find(text))


def count_terms(texts: Iterable[str], terms: Iterable[str]) -> Counter[str]:
    """Return how often each term occurs, longest match first: the `Tin` of `Tin Woodman` is not counted as `Tin`."""
    expression = anchor_expression(terms)
    return Counter(match.term for text in texts for match in expression.find(text))


def unmatched_terms(texts: Sequence[str], terms: Iterable[str]) -> list[str]:
    """Return the terms that occur nowhere, not even inside longer ones."""
    terms = list(dict.fromkeys(terms))
    left = set(terms)
    while found := set(count_terms(texts, left)):
        left -= found
    return [term for term in terms if term in left]
