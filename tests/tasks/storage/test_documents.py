"""Claims: ordinary text is what is to be kept, and general text only where nothing is."""

from pathlib import Path

from tasks import store
from tasks.algorithms.text.corpus import Document
from tasks.artifacts import CorpusRef
from tasks.storage.documents import read_ordinary, write_splits


def corpus(**splits: str) -> CorpusRef:
    documents = {split: [Document(source="a", text=text)] for split, text in splits.items()}
    digest = store.put("corpora", lambda folder: write_splits(folder, documents), sensitivity="forget")
    return CorpusRef(kind="corpora", digest=digest, sensitivity="forget", documents={}, characters={})


def test_ordinary_text_is_what_is_to_be_kept_else_general_text(lethe_home: Path) -> None:
    assert [one.text for one in read_ordinary(corpus(forget="f", retain="r", general="g"))] == ["r"]
    assert [one.text for one in read_ordinary(corpus(forget="f", general="g"))] == ["g"]
    assert read_ordinary(corpus(forget="f", retain_test="t")) == []
