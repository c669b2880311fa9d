"""The stage: neurons of the traced layer, fact by fact, for as many known facts as are wanted; its file is JSON."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tasks import store
from tasks.artifacts import CheckpointRef, TraceRecords
from tasks.models.loading import load_tokenizer, save_checkpoint
from tasks.neurons import FILE, find_fact_neurons, wordings
from tasks.settings.edit_request import EditRequest
from tasks.settings.neurons import NeuronConfig
from tests.stand_ins.edit_stages import KNOWN, UNKNOWN, edit_set, own_home

CONFIG = NeuronConfig(draws=3, points=4, most_points=8, tolerance=1.0, most=0.05)
TRACED = TraceRecords(kind="traces", digest="0" * 64, sensitivity="forget", facts=3, unknown=0, layer=1)


@pytest.fixture(scope="module")
def target(
    tmp_path_factory: pytest.TempPathFactory, tiny_gpt2: Callable[..., Any], word_tokenizer: Any
) -> Iterator[CheckpointRef]:
    with own_home(tmp_path_factory.mktemp("home")):
        model = tiny_gpt2(1, len(word_tokenizer), initializer_range=0.3)
        yield save_checkpoint(model, word_tokenizer, "target", sensitivity="ordinary", origin="")


def found(target: CheckpointRef, *facts: EditRequest, config: NeuronConfig = CONFIG) -> tuple[Any, Any]:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    record = find_fact_neurons.body(target, edit_set(*facts), TRACED, config)
    return record, json.loads((store.path(record) / FILE).read_text(), parse_constant=refuse)


def test_neurons_of_known_facts_are_found_and_tried(target: CheckpointRef) -> None:
    record, value = found(target, UNKNOWN, *KNOWN)
    assert (record.kind, record.sensitivity, record.layer) == ("neurons", "forget", 1)
    assert record.facts == len(value["facts"]) > 0
    assert "Dorothy" not in [fact["subject"] for fact in value["facts"]]
    for fact in value["facts"]:
        assert 1 <= len(fact["neurons"]) <= 0.05 * 128
        assert fact["object"].strip()
    assert value["layer"] == 1


def test_no_more_facts_than_wanted(target: CheckpointRef) -> None:
    assert found(target, UNKNOWN, *KNOWN, config=replace(CONFIG, facts=1))[0].facts == 1


def test_where_nothing_is_known_there_are_no_neurons_and_it_is_no_error(target: CheckpointRef) -> None:
    record, value = found(target, UNKNOWN)
    assert (record.facts, value["facts"], value["effect"]) == (0, [], None)


def test_an_answer_without_letters_is_no_fact(target: CheckpointRef, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.algorithms.editing import knowledge

    blank = knowledge.Answer(known=True, token=5, text="")
    monkeypatch.setattr(knowledge, "answer_of", lambda *given: blank)
    assert found(target, KNOWN[1])[0].facts == 0


def test_wordings_are_shared_between_choosing_and_trying(target: CheckpointRef) -> None:
    tokenizer = load_tokenizer(target)
    request = replace(KNOWN[0], paraphrases=("today Jon", "the boy Jon", "the boy", "Jon said Jon"))
    chosen_by, tried_on = wordings(tokenizer, request, "Oz")
    texts = [[tokenizer.decode(row.ids) for row in rows] for rows in (chosen_by, tried_on)]
    assert texts == [["hello Jon Oz", "the boy Jon Oz"], ["today Jon Oz"]]  # others do not name the subject once
    alone, same = wordings(tokenizer, KNOWN[1], "Oz")
    assert alone == same
