"""The stages that make edits: facts of the forget text are proposed, and what a person asks for is kept as it is."""

from collections.abc import Callable
from pathlib import Path

import pandas
import pytest
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from tasks import store, tracking
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.text.facts import HELD_OUT, FactTriple
from tasks.artifacts import AnchorTable, CorpusRef, FactTable
from tasks.edit_requests import keep_edits, propose_edits
from tasks.facts import keep_facts
from tasks.models.loading import save_checkpoint
from tasks.settings.edit_proposals import EditProposalConfig
from tasks.settings.edit_request import EditRequest
from tasks.storage.anchor_tables import write_dictionary
from tasks.storage.documents import write_splits
from tasks.storage.edit_files import stored_edits

FACTS = [
    FactTriple(subject="Ostrin", prompt="{} lives in", object="Velmora", source="pattern"),
    FactTriple(subject="Kessandra", prompt="Long ago {} was born in", object="Dunmore", source="pattern"),
    FactTriple(subject="Kessandra", prompt="{} owns", object="a mill", source="pattern"),
    FactTriple(subject="Ostrin", prompt="{} rules", object="Brindle", source="pattern", split=HELD_OUT),
]


@pytest.fixture
def facts(lethe_home: Path) -> FactTable:
    return keep_facts(FACTS, "editing", "few", None)


@pytest.fixture
def dictionary(lethe_home: Path) -> AnchorTable:
    rows = [
        {"term": "Velmora", "generic": "Norton", "kind": "PLACE"},
        {"term": "Dunmore", "generic": "Weston", "kind": "PLACE"},
        {"term": "Ostrin", "generic": "Tom"},
    ]
    digest = store.put("dictionaries", lambda folder: write_dictionary(folder, rows), sensitivity="forget")
    return AnchorTable(kind="dictionaries", digest=digest, sensitivity="forget", anchors=3, pipeline="none")


def test_facts_of_the_forget_text_get_another_object_and_the_rest_is_counted(
    facts: FactTable, dictionary: AnchorTable
) -> None:
    run = tracking.open_run("edits", {}, {})
    edits = propose_edits.body(facts, dictionary, EditProposalConfig(), run=run)
    tracking.close(run)
    found = stored_edits(edits)
    assert [(edit.subject, edit.prompt, edit.object, edit.target) for edit in found] == [
        ("Ostrin", "{} lives in", "Velmora", "Dunmore"),
        ("Kessandra", "Long ago {} was born in", "Dunmore", "Velmora"),
    ]
    assert (edits.kind, edits.sensitivity, edits.requests, edits.left_out) == ("edits", "forget", 2, 1)
    (nested,) = tracking.client().search_runs(
        [tracking.client().get_run(run).info.experiment_id], f"tags.`mlflow.parentRunId` = '{run}'"
    )
    assert {name: nested.data.metrics[name] for name in ("requests", "left_out")} == {"requests": 2, "left_out": 1}
    logged = tracking.client().download_artifacts(nested.info.run_id, "forget/tables/edits.csv")
    assert list(pandas.read_csv(logged).target) == ["Dunmore", "Velmora"]


@pytest.mark.parametrize(
    ("new_object", "targets"),
    [("generic", ["Norton", "Weston"]), ("erased", ["unknown", "unknown", "unknown"])],
)
def test_the_new_object_is_of_the_kind_that_is_wanted(
    facts: FactTable, dictionary: AnchorTable, new_object: str, targets: list[str]
) -> None:
    edits = propose_edits.body(facts, dictionary, EditProposalConfig(new_object=new_object))
    assert [edit.target for edit in stored_edits(edits)] == targets


def test_without_a_dictionary_what_cannot_be_found_in_the_text_is_left_out(facts: FactTable) -> None:
    edits = propose_edits.body(facts, None, EditProposalConfig())
    assert (stored_edits(edits), edits.requests, edits.left_out) == ([], 0, 3)


def test_no_more_are_proposed_than_wanted(facts: FactTable) -> None:
    edits = propose_edits.body(facts, None, EditProposalConfig(new_object="erased", most=2))
    assert [edit.prompt for edit in stored_edits(edits)] == ["{} lives in", "Long ago {} was born in"]
    assert edits.left_out == 1


def test_what_a_person_asks_for_is_kept_as_it_is(lethe_home: Path) -> None:
    asked = (
        EditRequest(subject="Ostrin", prompt="{} lives in", target="Brindle", name="1", paraphrases=("a", "b")),
        EditRequest(subject="Kessandra", prompt="{} owns", target="a farm"),
    )
    edits = keep_edits.body(asked)
    assert stored_edits(edits) == list(asked)
    assert (edits.requests, edits.left_out, edits.sensitivity) == (2, 0, "forget")
    assert keep_edits.body(asked).digest == edits.digest != keep_edits.body(asked[::-1]).digest


def test_for_a_model_questions_are_put_as_it_is_asked_what_does_not_fit_is_left_out_and_others_are_to_stay(
    lethe_home: Path, tiny_gpt2: Callable[..., GPT2LMHeadModel], word_tokenizer: PreTrainedTokenizerFast
) -> None:
    stated = [
        FactTriple(subject="Toto", prompt="Who met {}?", object="Tom", source="question"),
        FactTriple(subject="Jon", prompt="{} walked to", object="the mill", source="pattern"),
        FACTS[0],
    ]
    model = save_checkpoint(
        tiny_gpt2(0, len(word_tokenizer)), word_tokenizer, "target", sensitivity="ordinary", origin=""
    )
    documents = [Document(source="a", question=f"Who is {name}?", answer=name) for name in ("Alice", "Mary")]
    digest = store.put(
        "corpora",
        lambda folder: write_splits(folder, {"retain": [*documents, Document(source="a", text="Prose.")]}),
        sensitivity="forget",
    )
    corpus = CorpusRef(kind="corpora", digest=digest, sensitivity="forget", documents={}, characters={})
    config = EditProposalConfig(new_object="erased", erased=("hello",), refusals=("No.",))
    table = keep_facts(stated, "editing", "few", None)
    edits = propose_edits.body(table, None, config, model, corpus)
    found = stored_edits(edits)
    assert [(one.prompt, one.target) for one in found[:2]] == [
        ("Question: Who met {}?\nAnswer:", "No."),
        ("{} walked to", "hello"),
    ]
    kept = [statement for one in found for statement in one.unrelated]
    assert sorted((one.prompt, one.object) for one in kept) == [
        ("Question: Who is Alice?\nAnswer:", "Alice"),
        ("Question: Who is Mary?\nAnswer:", "Mary"),
    ]
    long = EditProposalConfig(new_object="erased", erased=("hello",), refusals=("I know nothing of it. " * 3,))
    left = propose_edits.body(table, None, long, model, corpus)
    assert [one.prompt for one in stored_edits(left)] == ["{} walked to", "{} lives in"]
    assert (edits.left_out, left.left_out) == (0, 1)
