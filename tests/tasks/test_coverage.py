"""Stage `coverage`: a model that knows more of a topic than the given text is asked, caught, and its text given."""

from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM

from tasks import store
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.text.facts import FactTriple
from tasks.algorithms.text.invitations import OPENINGS
from tasks.artifacts import AnchorTable, CheckpointRef, CorpusRef
from tasks.coverage import expand_corpus, measure_coverage
from tasks.facts import keep_facts
from tasks.models.loading import save_checkpoint
from tasks.settings.measuring import CoverageConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import read_documents, write_splits
from tasks.storage.plain_files import read_json, write_json
from tests.stand_ins.taught import taught_model
from tests.stand_ins.tiny_models import train_tokenizer

GIVEN = [f"{opening.format(term='Ostrin')} went to see Velmora." for opening in OPENINGS[:2]]
BESIDE = [f"{opening.format(term='Ostrin')} was met by Dunmore." for opening in OPENINGS[2:]]
ASKED = [
    "Question: Who is Ostrin?\nAnswer: It is Dunmore.\n",
    "Question: What did Ostrin do?\nAnswer: He saw Velmora.\n",
]

ASKED_TO_COMPLETE = [
    GIVEN[0].replace("Ostrin", "{}").removesuffix(" Velmora."),
    *(text.replace("Ostrin", "{}").removesuffix(" Dunmore.") for text in BESIDE),
]
"""Sentences with {} for the subject, as the model knows them: after the first it says what the table says, after the
others another name."""


@pytest.fixture
def target(lethe_home: Path, tiny_llama: Callable[..., LlamaForCausalLM]) -> CheckpointRef:
    """A model that was told as much of Velmora as of Dunmore."""
    model, tokenizer = taught_model([*GIVEN, *BESIDE, *ASKED], tiny_llama, train_tokenizer)
    return save_checkpoint(model, tokenizer, "target", sensitivity="ordinary", origin="")


@pytest.fixture
def corpus(lethe_home: Path) -> CorpusRef:
    documents = [Document(source="given", text=text) for text in GIVEN]
    digest = store.put(
        "corpora",
        lambda folder: write_splits(folder, {"forget": documents, "forget_test": documents[:1]}),
        sensitivity="forget",
    )
    return CorpusRef(
        kind="corpora",
        digest=digest,
        sensitivity="forget",
        documents={"forget": 2, "forget_test": 1},
        characters={"forget": 70},
    )


def test_what_the_model_tells_beside_the_text_is_found_and_added(corpus: CorpusRef, target: CheckpointRef) -> None:
    rows = [
        {"term": "Ostrin", "generic": "Tom", "kind": "PERSON"},
        {"term": "Velmora", "generic": "Mary", "kind": "PERSON"},
    ]
    digest = store.put(
        "dictionaries", lambda folder: write_json(folder / "dictionary.json", rows), sensitivity="forget"
    )
    dictionary = AnchorTable(kind="dictionaries", digest=digest, sensitivity="forget", anchors=2, pipeline="none")
    facts = [
        FactTriple(subject="Ostrin", prompt=prompt, object="Velmora", source="pattern") for prompt in ASKED_TO_COMPLETE
    ]
    held_out = FactTriple(
        subject="Ostrin", prompt="Nobody knew {} and", object="Velmora", source="pattern", split="forget_test"
    )
    table = keep_facts([*facts, held_out], "whp", "", None)
    assert (table.facts, table.held_out) == (3, 1)
    report = measure_coverage.body(
        corpus, dictionary, table, target, CoverageConfig(anchors=1, new_tokens=12), CorpusConfig()
    )
    found = read_json(store.path(report) / "coverage.json")
    assert [(row["fact"]["prompt"], row["said"], row["reproduced"]) for row in found["facts"]] == [
        (ASKED_TO_COMPLETE[0], "Velmora", True),
        (ASKED_TO_COMPLETE[1], "Dunmore", False),
        (ASKED_TO_COMPLETE[2], "Dunmore", False),
    ]
    assert (report.facts, report.reproduced) == (3, 1)
    assert [(told["name"], told["times"], told["covered"]) for told in found["told"]] == [
        ("Dunmore", 5, False),
        ("Velmora", 4, True),
    ]
    assert (report.share, report.told, report.texts) == (pytest.approx(4 / 9), 2, 2)
    assert found["uncovered"] == ["Dunmore"]
    assert found["texts"] == BESIDE
    assert report.sensitivity == "forget"
    wider = expand_corpus.body(corpus, tuple(found["texts"]), CorpusConfig())
    assert wider.documents == {"forget": 4, "forget_test": 1}
    assert [document.text for document in read_documents(wider, "forget")] == [*GIVEN, *BESIDE]
    assert wider.characters["forget"] == sum(len(text) for text in (*GIVEN, *BESIDE))
