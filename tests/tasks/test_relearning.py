"""Stage `relearning`: what was shown comes back, what is scored was not shown, the checkpoint itself stays
as it was.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tasks import store
from tasks.algorithms.measuring.relearning import relearning_split
from tasks.algorithms.text.corpus import Document
from tasks.artifacts import AnchorTable, CheckpointRef, CorpusRef, RelearnRecords
from tasks.models.loading import load_model, save_checkpoint
from tasks.relearning import relearn, relearn_retained
from tasks.settings.measuring import ProbingConfig, RelearningConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import write_documents
from tasks.storage.plain_files import write_json
from tasks.storage.probe_records import Records, read_records

NAMES = ("Toto", "Alice", "Jon", "Dorothy")
QUESTIONS = [Document(source="q", question=f"Who met {name}?", answer=f"a boy of {name}", fact=name) for name in NAMES]
PROSE = [Document(source="p", text="\n\n".join(f"{name} met the old man." for name in NAMES))]

RETAINED = [Document(source="r", text=f"The {who} walked in the old barn.") for who in ("farmer", "baker", "miller")]


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
    documents: list[Document],
    dictionary: AnchorTable,
    checkpoint: CheckpointRef,
    steps: tuple[int, ...] = (3,),
    block_size: int = 32,
    stage: Any = relearn,
) -> tuple[RelearnRecords, dict[int, Records]]:
    def write(folder: Path) -> None:
        for split in ("forget", "forget_test"):
            write_documents(folder / f"{split}.jsonl", documents)
        write_documents(folder / "retain.jsonl", RETAINED)

    digest = store.put("corpora", write, sensitivity="forget")
    corpus = CorpusRef(
        kind="corpora", digest=digest, sensitivity="forget", documents={"forget": len(documents)}, characters={}
    )
    config = RelearningConfig(steps=steps, block_size=block_size, batch_blocks=2, learning_rate=1e-2)
    found = stage.body(corpus, dictionary, checkpoint, config, ProbingConfig(window=32), CorpusConfig(), "model")
    return found, {step: read_records(found, str(step)) for step in found.steps}


def asked(*given: Any, **options: Any) -> Records:
    """What is found after the last step."""
    _, records = run(*given, **options)
    return records[max(records)]


def test_only_facts_that_were_not_shown_are_scored(dictionary: AnchorTable, checkpoint: CheckpointRef) -> None:
    records = asked(QUESTIONS, dictionary, checkpoint)
    shown = relearning_split(QUESTIONS, 0.5, 0)
    assert set(records.sequences.cluster) == set(NAMES) - shown.clusters
    assert list(records.sequences.tokens) == list(records.tokens.groupby("sequence").size())


def test_only_anchors_that_were_not_named_are_scored(dictionary: AnchorTable, checkpoint: CheckpointRef) -> None:
    found, curve = run(PROSE, dictionary, checkpoint)
    shown, records = relearning_split(PROSE, 0.5, 0, NAMES), curve[3]
    assert found.shown == len(shown.shown) > 0
    assert set(records.anchors.term) == set(NAMES) - shown.shown_terms(NAMES)
    assert len(records.anchors)


def test_training_takes_place_on_a_copy(dictionary: AnchorTable, checkpoint: CheckpointRef) -> None:
    before = load_model(checkpoint).state_dict()
    few, many = (asked(QUESTIONS, dictionary, checkpoint, (steps,)) for steps in (1, 3))
    after = load_model(checkpoint).state_dict()
    assert all(bool((before[name] == after[name]).all()) for name in before)
    assert not few.tokens.log_p.equals(many.tokens.log_p)


def test_a_point_of_the_curve_is_what_a_run_of_as_many_steps_finds(
    dictionary: AnchorTable, checkpoint: CheckpointRef
) -> None:
    _, curve = run(QUESTIONS, dictionary, checkpoint, (1, 3, 7))
    assert list(curve) == [1, 3, 7]
    for steps, records in curve.items():
        alone = asked(QUESTIONS, dictionary, checkpoint, (steps,))
        assert records.tokens.equals(alone.tokens)
        assert records.sequences.equals(alone.sequences)


def test_on_retain_text_the_same_is_asked_and_nothing_of_it_is_shown(
    dictionary: AnchorTable, checkpoint: CheckpointRef
) -> None:
    shown, _ = run(QUESTIONS, dictionary, checkpoint)
    found, curve = run(QUESTIONS, dictionary, checkpoint, stage=relearn_retained)
    assert (shown.text, found.text, found.shown) == ("forget", "retain", len(RETAINED))
    again = asked(QUESTIONS, dictionary, checkpoint)
    assert curve[3].sequences.equals(again.sequences)
    assert not curve[3].tokens.log_p.equals(again.tokens.log_p)


def test_of_much_retain_text_as_much_is_read_as_the_steps_can_use(
    dictionary: AnchorTable, checkpoint: CheckpointRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "RETAINED", RETAINED * 20)
    assert run(QUESTIONS, dictionary, checkpoint, stage=relearn_retained)[0].shown == 6  # three steps of two blocks


@pytest.mark.parametrize("settings", [{"steps": (3, 1)}, {"steps": (0, 1)}, {"steps": (2, 2)}, {"texts": ("both",)}])
def test_curves_that_cannot_be_drawn_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"relearning.{next(iter(settings))} is "):
        RelearningConfig(**settings)


def test_blocks_fit_the_context_of_any_model(dictionary: AnchorTable, checkpoint: CheckpointRef) -> None:
    longer = [
        Document(
            source="p", text="\n\n".join(f"{name} met the old man in the town by the mill. " * 9 for name in NAMES)
        ),
        *QUESTIONS,
    ]
    assert run(longer, dictionary, checkpoint, block_size=4096)[0].shown  # the model has 128 positions


def test_where_nothing_can_be_shown_nothing_is_scored(dictionary: AnchorTable, checkpoint: CheckpointRef) -> None:
    found, curve = run([Document(source="p", text="Toto met Alice.")], dictionary, checkpoint)
    assert found.shown == 0
    records = curve[3]
    assert len(records.sequences) == len(records.anchors) == 0
