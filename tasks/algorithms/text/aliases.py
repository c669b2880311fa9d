"""Which anchors name the same: `Harry` and `Potter` are `Harry Potter`, `Munchkins` are `Munchkin`, `Lord John` is
`Lord John Roxton`.

An anchor is an alias of a fuller one that its words begin or end, whose title may be left out; of `Guardian of the
Gates` only the words before the link name the thing. `Judge Thatcher` and `Becky Thatcher` stay two: a title of its own
makes another person. Where several are fuller, as both `Red Queen` and `White Queen` are for `Queen`, the most frequent
one must have two thirds of the occurrences of all of them: else the anchor stands for itself.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tasks.algorithms.text.anchors import Anchor, spelling_key
from tasks.algorithms.text.words import LINKS, TITLES

_CLEAR_SHARE = 2 / 3
Words = tuple[str, ...]


def name_aliases(anchors: Sequence[Anchor]) -> list[Anchor]:
    """Fill in every anchor's `canonical`, the fullest form of its name.

    Args:
        anchors: All anchors, counted.

    Returns:
        The same anchors in the same order; those of one name share their canonical form.
    """
    fuller = _by_parts(anchors)
    canonical: dict[str, str] = {}
    # a fuller form knows its own fullest form before it is asked for
    for anchor in sorted(anchors, key=_from_full_to_short):
        canonical[anchor.term] = _fullest(anchor, fuller[_words(anchor.term)], canonical)
    return [replace(anchor, canonical=canonical[anchor.term]) for anchor in anchors]


def _fullest(anchor: Anchor, fuller: Sequence[Anchor], canonical: Mapping[str, str]) -> str:
    counts: Counter[str] = Counter()
    for candidate in fuller:
        if candidate.term in canonical and not _is_another_thing(anchor, candidate):
            counts[canonical[candidate.term]] += candidate.count
    if not counts or max(counts.values()) < _CLEAR_SHARE * counts.total():
        return anchor.term
    return max(counts, key=lambda term: (counts[term], term))


def _is_another_thing(anchor: Anchor, fuller: Anchor) -> bool:
    """A place is called after a person: `Baskerville` is not `Baskerville Hall`."""
    return (
        fuller.kind == "PLACE"
        and anchor.kind != "PLACE"
        and _words(fuller.term)[: len(_words(anchor.term))] == _words(anchor.term)
    )


def _by_parts(anchors: Sequence[Anchor]) -> dict[Words, list[Anchor]]:
    """Return what may stand for an anchor in short -> the anchors that it may stand for."""
    fuller: dict[Words, list[Anchor]] = defaultdict(list)
    for anchor in anchors:
        words = _words(anchor.term)
        head = words[: next((index for index, word in enumerate(words) if word in LINKS), len(words))]
        name = head[next((index for index, word in enumerate(head[:-1]) if word not in TITLES), 0) :]
        parts = {
            part for whole in (head, name) for index in range(1, len(whole)) for part in (whole[:index], whole[index:])
        }
        plural = (*words[:-1], words[-1] + "s")
        for part in (parts | {head, name, plural}) - {words, ()}:
            fuller[part].append(anchor)
    return fuller


def _from_full_to_short(anchor: Anchor) -> tuple[int, int, str]:
    """Plurals come after what they are the plurals of."""
    return -len(_words(anchor.term)), len(anchor.term), anchor.term


def _words(term: str) -> Words:
    return tuple(word.rstrip(".") for word in spelling_key(term).lower().split(" "))
