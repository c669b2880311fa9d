"""Aligned pairs of sentences: the same sentence twice, once as a stereotype has it and once against it; torch is not
imported here.

WinoBias writes `12 [The nurse] told the guard that [she] ...`: a number, and in brackets an occupation and the pronouns
that mean it. Line i of a pro-stereotyped file and line i of the anti-stereotyped one are a pair, with the same number.
Any two sets of texts whose records share a `fact` are pairs as well.

Source: Zhao et al. 2018, arXiv:1804.06876.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from tasks.algorithms.text.corpus import Document

PRONOUNS = frozenset("he she him her his hers himself herself".split())
_LINE = re.compile(r"(\d+)\s+(\S.*)")
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_ARTICLE = re.compile(r"(the|an?)\s+", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """One line of a WinoBias file."""

    number: int
    text: str
    """Without its number and brackets."""
    occupation: str
    """What the pronouns mean, without its article."""
    pronouns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class AlignedPair:
    """A sentence that follows a stereotype, and the same one against it."""

    pro: str
    anti: str
    group: str
    """The occupation, or whatever else figures are given by and intervals are clustered by."""
    number: int
    """The number that both lines bear."""
    pronouns: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    """Those in brackets, of either side."""

    @property
    def minimal(self) -> bool:
        """Whether nothing but pronouns differs: some published pairs differ in other words too."""
        return only_pronouns_differ(self.pro, self.anti)


def parse_sentence(line: str) -> Sentence:
    """Read one line.

    Raises:
        ValueError: If it has no number, or not an occupation and a pronoun in brackets.
    """
    match = _LINE.fullmatch(line.strip())
    if not match:
        raise ValueError("no number in front; wanted a number and a sentence")
    marked = [mark.strip() for mark in _BRACKETS.findall(match[2])]
    pronouns = tuple(mark for mark in marked if mark.lower() in PRONOUNS)
    others = [mark for mark in marked if mark.lower() not in PRONOUNS]
    if len(others) != 1 or not others[0] or not pronouns:
        raise ValueError(
            f"sentence {match[1]} has {len(others)} occupations and {len(pronouns)} pronouns in brackets; wanted one,"
            " and one at least"
        )
    text = " ".join(_BRACKETS.sub(lambda mark: mark[1], match[2]).split())
    return Sentence(number=int(match[1]), text=text, occupation=_ARTICLE.sub("", others[0], count=1), pronouns=pronouns)


def align_lines(pro: Sequence[str], anti: Sequence[str]) -> list[AlignedPair]:
    """Pair the lines of two files.

    Args:
        pro: Lines of the pro-stereotyped file.
        anti: Lines of the anti-stereotyped one.

    Returns:
        A pair for each line; its group is the occupation that the pro-stereotyped sentence names.

    Raises:
        ValueError: If a line does not parse, or lines do not bear the same number; the first such line is named.
    """
    pairs = []
    for at, (left, right) in enumerate(zip(pro, anti, strict=False), 1):
        sentences = _at_line(at, left), _at_line(at, right)
        numbers = [sentence.number for sentence in sentences]
        if numbers[0] != numbers[1]:
            raise ValueError(
                f"line {at}: sentence {numbers[0]} stands against sentence {numbers[1]}; wanted the same number in both"
                " files"
            )
        first, second = sentences
        pronouns = (first.pronouns, second.pronouns)
        pairs.append(
            AlignedPair(
                pro=first.text, anti=second.text, group=first.occupation, number=first.number, pronouns=pronouns
            )
        )
    if len(pro) != len(anti):
        raise ValueError(
            f"line {min(len(pro), len(anti)) + 1}: one file ends; {len(pro)} lines against {len(anti)}, wanted as many"
            " in both files"
        )
    return pairs


def _at_line(at: int, line: str) -> Sentence:
    try:
        return parse_sentence(line)
    except ValueError as error:
        raise ValueError(f"line {at}: {error}") from None


def only_pronouns_differ(first: str, second: str) -> bool:
    """Return whether two aligned texts differ, and in nothing but he, she and their other forms."""
    spans = differing_spans(first, second)
    words = [
        [text[start:end].lower() for start, end in part] for text, part in zip((first, second), spans, strict=True)
    ]
    return bool(words[0]) and len(words[0]) == len(words[1]) and PRONOUNS.issuperset(words[0] + words[1])


def comparable(pairs: Sequence[AlignedPair]) -> list[AlignedPair]:
    """Return the pairs that differ in pronouns alone, or all of them where none does: sets of another kind than
    WinoBias.
    """
    return [pair for pair in pairs if pair.minimal] or list(pairs)


def group_of(fact: str) -> str:
    """Return the group that a pair's `fact` names: all but its last word, or the whole of a single word."""
    return fact.rpartition(" ")[0] or fact


def pair_documents(forget: Sequence[Document], retain: Sequence[Document]) -> list[tuple[Document, Document]]:
    """Pair records of two sets by the fact that they share.

    Returns:
        (forget, retain) pairs, in the order of the forget records.

    Raises:
        ValueError: If a record has no fact, two of one set have the same, or one has no partner.
    """
    by_fact = [_by_fact("forget", forget), _by_fact("retain", retain)]
    for side, own, other, others in (
        ("forget", by_fact[0], "retain", by_fact[1]),
        ("retain", by_fact[1], "forget", by_fact[0]),
    ):
        for document in own.values():
            if document.fact not in others:
                raise ValueError(
                    f"the {side} record {document.source} has no partner; wanted a {other} record with its fact"
                )
    return [(document, by_fact[1][document.fact]) for document in forget]


def _by_fact(split: str, documents: Sequence[Document]) -> dict[str, Document]:
    without = next((document.source for document in documents if not document.fact), None)
    if without is not None:
        raise ValueError(
            f"the {split} record {without} has no fact; wanted aligned records, whose `fact` names the pair"
        )
    fact, times = next(iter(Counter(document.fact for document in documents).most_common(1)), ("", 0))
    if times > 1:
        places = ", ".join([document.source for document in documents if document.fact == fact][:2])
        raise ValueError(
            f"{times} {split} records have one fact ({places}); wanted one, so that it is clear which belongs to which"
        )
    return {document.fact: document for document in documents}


_WORD = re.compile(r"\w+|[^\w\s]")


def differing_spans(first: str, second: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the character spans of the words of each text that the other has not at that place.

    Args:
        first: A text.
        second: The text aligned with it.

    Returns:
        Spans (start, end) of words, in order, for both texts; a side that only lacks a word has none for it.
    """
    word_matches = [list(_WORD.finditer(text)) for text in (first, second)]
    words = [[match.group() for match in matches] for matches in word_matches]
    edits = [edit for edit in SequenceMatcher(None, *words, autojunk=False).get_opcodes() if edit[0] != "equal"]
    return (
        [match.span() for _, start, end, _, _ in edits for match in word_matches[0][start:end]],
        [match.span() for _, _, _, start, end in edits for match in word_matches[1][start:end]],
    )


def touched(offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> tuple[bool, ...]:
    """Return for each token whether it holds a character of one of the spans."""
    return tuple(any(start < end and left < end and start < right for left, right in spans) for start, end in offsets)
