"""Where two aligned texts differ, word by word: the forget and the retain text of a pair such as "... because he ..." and "... she ...".

Words and not tokens are compared: in a small vocabulary "she" may be " s" + "he" beside " he", and token by token only the "s" would
differ. All tokens of a differing word count, however many each side has.

A position counts where its *own* token differs. A divergence between whole predictions depends on what has been read, and up to the
first differing word both texts have read the same: the prediction *of* that word is one and the same in both, so it cannot be driven
apart (the joint loss of SCRUB is (alpha - beta) d there) and is left out like the rest of the shared beginning.
"""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

_WORD = re.compile(r"\w+|[^\w\s]")


def differing_spans(first: str, second: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the character spans of the words of each text that the other has not at that place.

    Args:
        first: A text.
        second: The text aligned with it.

    Returns:
        Spans (start, end) of words, in order, for both texts; a side that only lacks a word has none for it.
    """
    found = [list(_WORD.finditer(text)) for text in (first, second)]
    words = [[match.group() for match in matches] for matches in found]
    edits = [edit for edit in SequenceMatcher(None, *words, autojunk=False).get_opcodes() if edit[0] != "equal"]
    return (
        [match.span() for _, start, end, _, _ in edits for match in found[0][start:end]],
        [match.span() for _, _, _, start, end in edits for match in found[1][start:end]],
    )


def touched(offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> tuple[bool, ...]:
    """Return for each token whether it holds a character of one of the spans."""
    return tuple(any(start < end and left < end and start < right for left, right in spans) for start, end in offsets)
