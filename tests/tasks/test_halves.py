"""Claims: both halves have the whole of what is trained on and one half each of every test split; one that cannot be
halved stays whole, but for what is to be forgotten, which is refused.
"""

import json
from pathlib import Path

import pytest

from tasks import store
from tasks.artifacts import BadInputError, CorpusRef
from tasks.corpus import gather_inputs, read_corpus
from tasks.halves import HALVED, take_half
from tasks.settings.text import CorpusConfig
from tasks.storage.corpus_counts import read_counts
from tasks.storage.documents import read_documents

CONFIG = CorpusConfig()


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CorpusRef:
    monkeypatch.setenv("LETHE_HOME", str(tmp_path / "lethe"))
    monkeypatch.setattr(store, "_checked", set())
    return read(tmp_path, forget_test=10)


def read(folder: Path, **questions: int) -> CorpusRef:
    counts = {"forget": 12, "retain": 12, "retain_test": 6, "sibling": 7, "general": 1} | questions
    files = {}
    for split, count in counts.items():
        rows = [{"question": f"{split} {number}?", "answer": f"It is {number}."} for number in range(count)]
        (folder / f"{split}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        files[split] = (str(folder / f"{split}.jsonl"),)
    return read_corpus.body(gather_inputs(**files), CONFIG)


def halves(corpus: CorpusRef, seed: int = 0) -> list[CorpusRef]:
    return [take_half.body(corpus, half, seed, CONFIG) for half in ("choosing", "untouched")]


def test_every_test_split_is_parted_and_what_is_trained_on_is_not(corpus: CorpusRef) -> None:
    choosing, untouched = halves(corpus)
    for split in ("forget_test", "retain_test", "sibling"):
        one, other = ({item.question for item in read_documents(half, split)} for half in (choosing, untouched))
        assert one | other == {item.question for item in read_documents(corpus, split)}
        assert not one & other
        assert (len(one), len(other)) == (choosing.documents[split], untouched.documents[split])
        assert 0 < untouched.characters[split] < corpus.characters[split]
    for split in ("forget", "retain"):
        assert read_documents(choosing, split) == read_documents(untouched, split) == read_documents(corpus, split)
        assert choosing.characters[split] == corpus.characters[split]
    assert read_counts(choosing) == read_counts(corpus)
    assert set(HALVED).isdisjoint({"forget", "retain"})
    assert store.intact(choosing)


def test_one_that_cannot_be_parted_is_whole_in_both(corpus: CorpusRef) -> None:
    choosing, untouched = halves(corpus)
    assert read_documents(choosing, "general") == read_documents(untouched, "general") != []
    assert "holdout" not in choosing.documents


def test_another_seed_parts_otherwise(corpus: CorpusRef) -> None:
    assert halves(corpus)[0] == halves(corpus)[0]
    assert halves(corpus)[0].digest != halves(corpus, seed=1)[0].digest


@pytest.mark.parametrize("half", ["choosing", "untouched"])
def test_what_is_to_be_forgotten_must_be_parted(corpus: CorpusRef, tmp_path: Path, half: str) -> None:
    single = read(tmp_path, forget_test=1)
    with pytest.raises(
        BadInputError, match=r"--method auto: forget_test has 1 question or paragraph, and one to choose by"
    ):
        take_half.body(single, half, 0, CONFIG)
