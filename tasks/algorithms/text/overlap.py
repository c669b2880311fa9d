"""How much of one text stands in another: whole questions with their answers, and whole paragraphs, without regard to
capitals and white space.
"""

from collections.abc import Iterable, Iterator

from tasks.algorithms.text.corpus import Document, split_paragraphs

LEAST_CHARACTERS = 20
"""Of a paragraph that counts: a heading stands in many texts."""


def pieces(documents: Iterable[Document]) -> frozenset[int]:
    """Return the questions and paragraphs of documents, as numbers that are equal for equal pieces in this process."""
    return frozenset(hash(piece) for document in documents for piece in _pieces(document))


def _pieces(document: Document) -> Iterator[str]:
    if document.is_question:
        yield f"{_plain(document.question)}\n{_plain(document.answer)}"
    for paragraph in split_paragraphs(document.text):
        if len(plain := _plain(paragraph)) >= LEAST_CHARACTERS:
            yield plain


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
