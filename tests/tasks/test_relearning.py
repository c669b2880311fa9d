"""Stage `relearning`: what was shown comes back, what is scored was not shown, the checkpoint itself stays
as it was.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tasks import store
from tasks.algorithms.measuring.relearning import relearning_split
from tasks.algorithms.text.corpus import Document
from tasks.artifacts import AnchorTable, CheckpointRef, CorpusRef, RelearnRecords
from tasks.models.loading import load_model, save_checkpoint
from tasks.relearning import relearn
from tasks.settings.measuring import ProbingConfig, RelearningConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import write_documents
from tasks.storage.plain_files import write_json
from tasks.storage.probe_records import Records, read_records

NAMES = ("Toto", "Alice", "Jon", "Dorothy")
QUESTIONS = [Document(source="q", question=f"Who met {name}?", answer=f"a boy of {name}", fact=name) for name in NAMES]
PROSE = [Document(source="p", text="\n\n".join(f"{name} met the old man." for name in NAMES))]


@pytest.fixture
def dictionary(lethe_home: Path) -> AnchorTable:
    rows = [{"term": name, "generic": "Tom"} for name in NAMES]
    digest = store.put(
        "dictionaries", lambda folder: write_json(folder / "dictionary.json", rows), sensitivity="forget"
    )
    return AnchorTable(kind="dictionaries", digest=digest, sensitivity="forget", anchors=4, pipeline="none")


@pytest.fixture
def checkpoint(
    lethe_home: Path, tiny_llama: Callable[..., LlamaForCausalLM], tiny_tokenizer: PreTrainedTokenizerFast
) -> CheckpointRef:
    return save_checkpoint(tiny_llama(0), tiny_tokenizer, "model", sensitivity="ordinary", origin="")


def run(
    documents: list[Document], dictionary: AnchorTable, checkpoint: CheckpointRef, steps: int = 3, block_size: int = 32
) -> tuple[RelearnRecords, Records]:
    def write(folder: Path) -> None:
        for split in ("forget", "forget_test"):
            write_documents(folder / f"{split}.jsonl", documents)

    digest = store.put("corpora", write, sensitivity="forget")
    corpus = CorpusRef(
        kind="corpora", digest=digest, sensitivity="forget", documents={"forget": len(documents)}, characters={}
    )
    config = RelearningConfig(steps=steps, block_size=block_size, batch_blocks=2, learning_rate=1e-2)
    found = relearn.body(corpus, dictionary, checkpoint, config, ProbingConfig(window=32), CorpusConfig(), "model")
    return found, read_records(found)


def test_only_facts_that_were_not_shown_are_scored(dictionary: AnchorTable, checkpoint: CheckpointRef) -> None:
    _, records = run(QUESTIONS, dictionary, checkpoint)
    shown = relearning_split(QUESTIONS, 0.5, 0)
    assert set(records.sequences.cluster) == set(NAMES) - shown.clusters
    assert list(records.sequences.tokens) == list(records.tokens.groupby("sequence").size())


def test_only_anchors_that_were_not_named_are_scored(dictionary: AnchorTable, checkpoint: CheckpointRef) -> None:
    found, records = run(PROSE, dictionary, checkpoint)
    shown = relearning_split(PROSE, 0.5, 0, NAMES)
    assert found.shown == len(shown.shown) > 0
    assert set(records.anchors.term) == set(NAMES) - shown.shown_terms(NAMES)
    assert len(records.anchors)


def test_training_takes_place_on_a_copy(dictionary: AnchorTable, checkpoint: CheckpointRef) -> None:
    before = load_model(checkpoint).state_dict()
    few, many = (run(QUESTIONS, dictionary, checkpoint, steps)[1] for steps in (1, 3))
    after = load_model(checkpoint).state_dict()
    assert all(bool((before[name] == after[name]).all()) for name in before)
    assert not few.tokens.log_p.equals(many.tokens.log_p)


def test_blocks_fit_the_context_of_any_model(dictionary: AnchorTable, checkpoint: CheckpointRef) -> None:
    longer = [
        Document(
            source="p", text="\n\n".join(f"{name} met the old man in the town by the mill. " * 9 for name in NAMES)
        ),
        *QUESTIONS,
    ]
    assert run(longer, dictionary, checkpoint, block_size=4096)[0].shown  # the model has 128 positions


def test_where_nothing_can_be_shown_nothing_is_scored(dictionary: AnchorTable, checkpoint: CheckpointRef) -> None:
    found, records = run([Document(source="p", text="Toto met Alice.")], dictionary, checkpoint)
    assert found.shown == 0
    assert len(records.sequences) == len(records.anchors) == 0
