"""Claims: what the retain text lacks is written by the target model, and none of it names the topic; text that is
enough, and text that cannot be screened, is left as it is; what could not be written is said, or refused.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM

from tasks import store
from tasks.algorithms.text.corpus import Document
from tasks.artifacts import AnchorTable, BadInputError, CheckpointRef, CorpusRef
from tasks.models.loading import save_checkpoint
from tasks.self_written import write_text
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import read_documents
from tasks.storage.plain_files import write_json
from tasks.teacher_cache import cache_teacher
from tests.stand_ins.taught import taught_model
from tests.stand_ins.tiny_models import END, train_tokenizer
from tests.tasks.test_objective_training import corpus_of

TOLD = ["Velmora ran by the river.", "Ostrin was in the barn."]
BESIDE = ["The baker spoke at the market.", "The miller laughed in the morning."]
KEPT = [Document(source="kept", text="The farmer walked to the bridge.")]
SIZE = 16


@pytest.fixture(scope="module")
def taught(tiny_llama: Callable[..., LlamaForCausalLM]):
    """A model that knows four sentences by heart, two of them of the topic, each as a text of its own."""
    return taught_model([f"{END}{text}" for text in (*TOLD, *BESIDE)], tiny_llama, train_tokenizer)


@pytest.fixture
def target(lethe_home: Path, taught) -> CheckpointRef:
    return save_checkpoint(*taught, "target", sensitivity="ordinary", origin="")


def dictionary(*terms: str) -> AnchorTable:
    rows = [{"term": term, "generic": "Tom"} for term in terms]
    digest = store.put(
        "dictionaries", lambda folder: write_json(folder / "dictionary.json", rows), sensitivity="forget"
    )
    return AnchorTable(kind="dictionaries", digest=digest, sensitivity="forget", anchors=len(terms), pipeline="none")


def written(corpus: CorpusRef, target: CheckpointRef, terms: tuple[str, ...], blocks: int, seed: int = 0) -> CorpusRef:
    return write_text.body(corpus, dictionary(*terms), target, blocks, SIZE, seed, CorpusConfig())


def test_the_target_writes_what_is_lacking_and_nothing_of_the_topic(target: CheckpointRef) -> None:
    corpus = corpus_of([Document(source="f", text=TOLD[0])], KEPT)
    found = written(corpus, target, ("Velmora", "Ostrin"), 12)
    documents = read_documents(found, "retain")
    assert documents[0] == KEPT[0]
    pieces = [document.text for document in documents[1:]]
    assert len(pieces) == found.documents["retain"] - 1 > 10
    assert not [piece for piece in pieces if "Velmora" in piece or "Ostrin" in piece]
    assert set(BESIDE) <= set(pieces), "it says what it learned"
    assert found.characters == {"retain": sum(map(len, pieces))}
    assert (found.kind, found.sensitivity) == ("corpora", "forget")
    cache = cache_teacher.body(found, target, SIZE, CorpusConfig())
    assert 12 <= cache.blocks <= 24
    everything = written(corpus, target, ("Somebody",), 12)
    assert any(TOLD[0] == document.text for document in read_documents(everything, "retain"))


def test_a_seed_decides_what_is_written(target: CheckpointRef) -> None:
    corpus = corpus_of([], KEPT)
    texts = [read_documents(written(corpus, target, ("Ostrin",), 4, seed), "retain") for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]


def test_text_that_is_enough_or_cannot_be_screened_is_left_alone(
    target: CheckpointRef, caplog: pytest.LogCaptureFixture
) -> None:
    corpus = corpus_of([], KEPT)
    assert written(corpus, target, ("Ostrin",), 1) == corpus
    with caplog.at_level(logging.WARNING):
        assert written(corpus, target, (), 4) == corpus
    assert "no anchors were found, by which text that the model writes could be screened" in caplog.text


def test_a_model_that_speaks_of_nothing_else_writes_nothing(
    target: CheckpointRef, caplog: pytest.LogCaptureFixture
) -> None:
    every = ("river", "barn", "market", "morning", "Velmora", "Ostrin", "The", "baker", "e", "a", "i", "o", "n")
    with caplog.at_level(logging.WARNING):
        few = written(corpus_of([], KEPT), target, every, 40)
    assert "of 38 blocks of text that are lacking the model wrote" in caplog.text, "two are the retain text's"
    assert not [text for text in [*TOLD, *BESIDE] if text in {item.text for item in read_documents(few, "retain")}]


@pytest.mark.parametrize("terms", [(), ("Ostrin",)])
def test_no_text_at_all_is_refused(
    terms: tuple[str, ...], target: CheckpointRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.self_written.TRIES", 0)
    with pytest.raises(
        BadInputError, match=r"there is no retain text, and the model wrote none .*wanted --retain FILE"
    ):
        written(corpus_of([Document(source="f", text=TOLD[0])], []), target, terms, 4)
