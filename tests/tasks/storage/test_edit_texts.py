"""Ordinary text is the prose of the splits that are to be kept; questions and what is to be forgotten are none."""

from pathlib import Path

from tasks import store
from tasks.algorithms.text.corpus import Document
from tasks.artifacts import CorpusRef
from tasks.storage.documents import write_splits
from tasks.storage.edit_texts import KEPT, ordinary_texts


def test_ordinary_text_is_kept_prose(lethe_home: Path) -> None:
    splits = {split: [Document(source="a", text=f"Some {split}.")] for split in ("forget", "forget_test", *KEPT)}
    splits["general"].append(Document(source="a", question="Who?", answer="Toto"))
    digest = store.put("corpora", lambda folder: write_splits(folder, splits), sensitivity="forget")
    corpus = CorpusRef(kind="corpora", digest=digest, sensitivity="forget", documents={}, characters={})
    assert ordinary_texts(corpus) == ["Some retain_test.", "Some sibling.", "Some general."]
    assert ordinary_texts(None) == []
