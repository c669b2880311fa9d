"""Where a term first stands in a text, with some words around it, for people who decide on terms."""

from collections.abc import Iterable

from tasks.algorithms.text.anchors import anchor_expression

AROUND = 40
"""Characters on either side of a term; a word that would be cut is left out."""


def excerpts(texts: Iterable[str], terms: Iterable[str], around: int = AROUND) -> dict[str, str]:
    """Return an excerpt around the first occurrence of each term, on one line.

    Args:
        texts: Gone through until all terms are found.
        terms: What to look for. One that only stands inside a longer one has that one's words around it, or none.
        around: Characters on either side.

    Returns:
        Term -> excerpt, of those terms that occur.
    """
    left, found = set(terms), {}
    expression = anchor_expression(left)
    for text in texts:
        if not left:
            break
        for match in expression.find(text):
            if match.term in left:
                left.discard(match.term)
                found[match.term] = _excerpt(text, match.start, match.end, around)
    return found


def _excerpt(text: str, start: int, end: int, around: int) -> str:
    begin, stop = max(0, start - around), min(len(text), end + around)
    before, after = text[begin:start], text[end:stop]
    if begin > 0:
        before = f"\u2026 {before.partition(' ')[2]}"
    if stop < len(text):
        after = f"{after.rpartition(' ')[0]} \u2026"
    return " ".join(f"{before}{text[start:end]}{after}".split())
