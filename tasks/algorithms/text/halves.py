"""Text in two halves, one to choose by and one that nobody looks at until the choice is made.

Which half something falls into follows from a seed and from what it says, not from where it stands: the same question
is in the same half in whatever order, and in whichever file, it comes.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from tasks.algorithms.text.corpus import Document, split_paragraphs

STRETCH = 2000
"""Characters of prose that stay together at least, where there is enough of it: paragraphs that stand alone are read
without what leads up to them."""
LEAST_STRETCHES = 8
"""Into how many stretches a text is cut at least, as far as it has paragraphs."""


def halve(documents: Sequence[Document], seed: int) -> tuple[list[Document], list[Document]]:
    """Cut documents into two halves that share nothing.

    All that has one `fact` stays together: questions that ask for it in other words, and both texts of a pair, which
    stand in two splits. Prose without one is cut between paragraphs.

    Args:
        documents: All documents of a split.
        seed: Of the draw.

    Returns:
        Both halves, in the documents' order; of questions and of prose, the first has one fact, question or stretch
        more at most. The second is empty where there is nothing to part.
    """
    size = min(STRETCH, sum(len(document.text) for document in documents) // LEAST_STRETCHES)
    parts = [(document, _parts(document, size)) for document in documents]
    first: set[str] = set()
    for questions in (True, False):  # each half has its share of either kind
        first |= _drawn(
            (key for document, keyed in parts if document.is_question == questions for key, _ in keyed), seed
        )
    halves = ([], [])
    for document, keyed in parts:
        for place, half in enumerate(halves):
            half += _kept(document, [text for key, text in keyed if (key in first) == (place == 0)])
    return halves


def _drawn(keys: Iterable[str], seed: int) -> set[str]:
    """Return one half of some keys, whatever their order."""
    drawn = sorted({*keys}, key=lambda key: hashlib.sha256(f"{seed} {key}".encode()).digest())
    return {*drawn[: (len(drawn) + 1) // 2]}


def _parts(document: Document, size: int) -> list[tuple[str, str]]:
    """Return what must not be torn apart, as key and text; the text of a question is empty."""
    if document.fact or document.is_question:
        return [(document.fact or document.question, document.text)]
    return [(text, text) for text in _stretches(split_paragraphs(document.text), size)]


def _stretches(paragraphs: Sequence[str], size: int) -> list[str]:
    """Join neighbours until each stretch has `size` characters; the last may have fewer."""
    stretches: list[str] = []
    for paragraph in paragraphs:
        if stretches and len(stretches[-1]) < size:
            stretches[-1] += f"\n\n{paragraph}"
        else:
            stretches.append(paragraph)
    return stretches


def _kept(document: Document, texts: Sequence[str]) -> list[Document]:
    return [replace(document, text="\n\n".join(texts))] if texts else []
