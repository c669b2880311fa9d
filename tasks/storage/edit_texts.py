"""Ordinary text of a corpus, on which edits should change nothing."""

from tasks.artifacts import CorpusRef
from tasks.storage.documents import read_documents

KEPT = ("retain_test", "sibling", "general")
"""Splits whose prose is the ordinary text."""


def ordinary_texts(corpus: CorpusRef | None) -> list[str]:
    """Return the prose of the splits that are to be kept."""
    splits = [] if corpus is None else [read_documents(corpus, split) for split in KEPT]
    return [document.text for documents in splits for document in documents if not document.is_question]
