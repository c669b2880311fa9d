"""Documents of a corpus as JSON lines, a file a split."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks import store
from tasks.algorithms.measuring.degeneration import pieces
from tasks.algorithms.text.corpus import Document, render_document
from tasks.artifacts import CorpusRef

ORDINARY = ("retain", "general")
"""Splits with ordinary text; the first that is there is taken."""


def write_documents(path: Path, documents: Iterable[Document]) -> None:
    """Write documents as JSON lines, without empty fields, after those that the file holds."""
    with path.open("a", encoding="utf-8") as stream:
        for document in documents:
            stream.write(
                json.dumps(
                    {name: value for name, value in dataclasses.asdict(document).items() if value}, ensure_ascii=False
                )
                + "\n"
            )


def stream_documents(corpus: CorpusRef, split: str) -> Iterator[Document]:
    """Read the documents of a split one by one; none where the corpus has no such split."""
    path = store.path(corpus) / f"{split}.jsonl"
    if not path.is_file():
        return
    with path.open(encoding="utf-8", newline="\n") as stream:
        for line in stream:
            row = json.loads(line)
            yield Document(**{**row, "perturbed_answer": tuple(row.get("perturbed_answer", ()))})


def read_documents(corpus: CorpusRef, split: str) -> list[Document]:
    """Read all documents of a split."""
    return list(stream_documents(corpus, split))


def read_ordinary(corpus: CorpusRef) -> list[Document]:
    """Read ordinary text, which edits are to leave alone: what is to be kept, or, where nothing is, general text.

    Where something is unlearned general text is only judged by, so that it counts only where no text is to be kept.
    """
    return next((documents for split in ORDINARY if (documents := read_documents(corpus, split))), [])


def read_pieces(corpus: CorpusRef) -> frozenset[str]:
    """Return the words, addresses and numbers of all texts of a run: what a model may repeat and leaks nothing."""
    documents = (document for split in corpus.documents for document in stream_documents(corpus, split))
    return pieces(
        " ".join((document.text, document.question, document.answer, document.paraphrased_answer))
        for document in documents
    )


@dataclass(frozen=True)
class StoredDocuments:
    """The documents of a split, read anew and one at a time whenever they are gone through."""

    corpus: CorpusRef
    split: str

    def __iter__(self) -> Iterator[Document]:
        return stream_documents(self.corpus, self.split)


@dataclass(frozen=True)
class StoredTexts:
    """The texts of some splits as a model trains on them, read anew and one at a time whenever they are gone
    through.
    """

    corpus: CorpusRef
    splits: tuple[str, ...]
    template: str
    """How a question becomes text."""

    def __iter__(self) -> Iterator[str]:
        for split in self.splits:
            for document in stream_documents(self.corpus, split):
                yield render_document(document, self.template)


def write_splits(folder: Path, splits: Mapping[str, Sequence[Document]]) -> None:
    """Write a file of documents for each split."""
    for split, documents in splits.items():
        write_documents(folder / f"{split}.jsonl", documents)
