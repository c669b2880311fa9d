"""The stage: two checkpoints, the edits, ordinary text; scores before and after, with the records behind them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import pandas
import pytest
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from tasks import store
from tasks.algorithms.measuring.edit_figures import LENS
from tasks.algorithms.measuring.edit_figures import SCORES as EVERY_SCORE
from tasks.algorithms.measuring.edit_questions import TOGETHER
from tasks.algorithms.text.corpus import Document
from tasks.artifacts import BadInputError, CheckpointRef, CorpusRef, EditSet
from tasks.edit_evaluation import evaluate_edits
from tasks.models.loading import save_checkpoint
from tasks.reporting.edit_rows import edit_rows
from tasks.settings.edit_evaluation import EditEvaluationConfig
from tasks.settings.edit_request import EditRequest
from tasks.storage.documents import write_splits
from tasks.storage.edit_files import FILE, write_edits
from tasks.storage.edit_records import SCORES, read_answers, read_edit_records
from tasks.storage.edit_texts import ordinary_texts
from tasks.storage.plain_files import read_json
from tests.conftest import SENTENCES
from tests.stand_ins.command import ROOT
from tests.stand_ins.scored_edits import REQUESTS

CONFIG = EditEvaluationConfig(generation_tokens=6, window=16, answer_tokens=4)


@pytest.fixture
def models(
    lethe_home: Path, tiny_gpt2: Callable[..., GPT2LMHeadModel], tiny_tokenizer: PreTrainedTokenizerFast
) -> list[CheckpointRef]:
    return [
        save_checkpoint(tiny_gpt2(seed, initializer_range=0.3), tiny_tokenizer, name, sensitivity="ordinary", origin="")
        for seed, name in ((1, "target"), (2, "edited"))
    ]


def edits(*requests: EditRequest) -> tuple[EditSet, ...]:
    digest = store.put("edits", lambda folder: write_edits(folder / FILE, requests), sensitivity="forget")
    return (EditSet(kind="edits", digest=digest, sensitivity="forget", requests=len(requests)),)


def corpus(**splits: list[Document]) -> CorpusRef:
    digest = store.put("corpora", lambda folder: write_splits(folder, splits), sensitivity="forget")
    return CorpusRef(kind="corpora", digest=digest, sensitivity="forget", documents={}, characters={})


def texts() -> CorpusRef:
    prose = [Document(source="a", text=text) for text in SENTENCES]
    asked = Document(source="a", question="Who met Toto?", answer="Tom")
    return corpus(general=[*prose[:3], asked], retain_test=prose[3:4], forget=prose[4:])


def test_both_models_are_scored_and_every_figure_is_arithmetic_on_what_is_kept(models: list[CheckpointRef]) -> None:
    found = evaluate_edits.body(*models, edits(*REQUESTS), CONFIG, texts(), "edited")
    value, records = read_json(store.path(found) / SCORES), read_edit_records(found)
    assert (found.kind, found.sensitivity, found.edits, found.label) == ("edit_scores", "forget", 3, "edited")
    assert value["metrics"] == edit_rows(records["before"], records["after"], REQUESTS)
    measured = {name.removeprefix("edit/") for name in value["metrics"]}
    assert measured == {*EVERY_SCORE, LENS, "s", "ge", "rs", "perplexity", "perplexity_ratio"}
    assert value["not_measured"] == []
    assert found.efficacy == value["metrics"]["edit/es"]["unlearned"]
    assert found.score == value["metrics"]["edit/s"]["unlearned"]
    assert found.perplexity_ratio == value["metrics"]["edit/perplexity_ratio"]["unlearned"]
    assert found.alteration == value["metrics"]["edit/alteration"]["unlearned"] > 0
    assert value["metrics"]["edit/alteration"]["target"] == 0
    assert {one.text for one in records["before"].texts} == {0, 1, 2, 3}
    schema = json.loads((ROOT / "tests" / "schemas" / "scorecard.v1.json").read_text())
    jsonschema.validate(value["metrics"], schema["properties"]["metrics"])


def test_a_person_is_shown_what_both_models_answer(models: list[CheckpointRef]) -> None:
    rows = read_answers(evaluate_edits.body(*models, edits(*REQUESTS), replace(CONFIG, answers=2)))
    assert [(row["edit"], row["kind"]) for row in rows] == [
        *(("1", kind) for kind in ("prompt", "paraphrase", "unrelated")),
        *(("2", kind) for kind in ("prompt", "paraphrase", "unrelated")),
    ]
    assert rows[0]["change"] == "Toto -> the Scarecrow"
    swapped = read_answers(evaluate_edits.body(*models[::-1], edits(*REQUESTS), replace(CONFIG, answers=2)))
    assert [(row["before"], row["after"]) for row in rows] == [(row["after"], row["before"]) for row in swapped]
    assert any(row["before"] != row["after"] for row in rows)
    assert read_answers(evaluate_edits.body(*models, edits(*REQUESTS), replace(CONFIG, answers=0))) == []


def test_edits_of_several_sets_are_judged_together(models: list[CheckpointRef]) -> None:
    apart = evaluate_edits.body(*models, (*edits(REQUESTS[0]), *edits(*REQUESTS[1:])), CONFIG, texts())
    assert apart.digest == evaluate_edits.body(*models, edits(*REQUESTS), CONFIG, texts()).digest


def test_a_model_that_is_not_edited_has_the_same_scores_twice(models: list[CheckpointRef]) -> None:
    found = evaluate_edits.body(models[0], models[0], edits(*REQUESTS), CONFIG, texts())
    metrics = read_json(store.path(found) / SCORES)["metrics"]
    assert (found.alteration, found.perplexity_ratio) == (0, 1)
    assert all(row["target"] in (row["unlearned"], None) for row in metrics.values())


def test_unrelated_facts_are_those_unrelated_to_every_edit(models: list[CheckpointRef]) -> None:
    found = evaluate_edits.body(*models, edits(*REQUESTS), CONFIG)
    rows = pandas.read_parquet(store.path(found) / "rows.parquet")
    assert rows[rows.object == "said"].groupby(["model", "request"]).size().to_dict() == {
        ("after", TOGETHER): 3,
        ("before", TOGETHER): 3,
    }


def test_what_there_is_nothing_for_is_said_to_be_missing(models: list[CheckpointRef]) -> None:
    found = evaluate_edits.body(*models, edits(REQUESTS[2]), CONFIG)
    value = read_json(store.path(found) / SCORES)
    assert (found.score, found.alteration, found.perplexity_ratio) == (None, None, None)
    assert {"edit/s", "edit/ps", "edit/rs", "edit/ge", "edit/perplexity", "edit/alteration"} <= set(
        value["not_measured"]
    )
    assert "edit/es" in value["metrics"] and "edit/es" not in value["not_measured"]


def test_an_edit_without_an_object_is_held_against_what_the_model_said(models: list[CheckpointRef]) -> None:
    found = evaluate_edits.body(*models, edits(EditRequest(subject="Jon", prompt="{} met", target="the girl")), CONFIG)
    metrics = read_json(store.path(found) / SCORES)["metrics"]
    assert {"edit/es", "edit/em", "edit/rewrite_old_probability"} <= set(metrics)


def test_an_object_that_fills_the_context_is_refused(models: list[CheckpointRef]) -> None:
    with pytest.raises(BadInputError, match=r"edits of target model .*: an object of \d+ tokens .* wanted fewer than"):
        evaluate_edits.body(*models, edits(EditRequest(subject="Jon", prompt="{} met", target="Toto " * 100)), CONFIG)


def test_ordinary_text_is_the_prose_that_is_to_be_kept(lethe_home: Path) -> None:
    assert ordinary_texts(texts()) == [SENTENCES[3], *SENTENCES[:3]]
    assert ordinary_texts(None) == []
