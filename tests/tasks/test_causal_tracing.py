"""The stage: facts that the model knows are traced, others are said; the layer is where MLPs help most at the last
subject token; a single fact's missing intervals break no file.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks import store
from tasks.algorithms.editing import known_facts
from tasks.algorithms.editing.causal_tracing import Trace
from tasks.artifacts import BadInputError, CheckpointRef, TraceRecords
from tasks.causal_tracing import trace_facts
from tasks.models.loading import load_model, load_tokenizer, save_checkpoint
from tasks.settings.tracing import TracingConfig
from tasks.storage.trace_files import read_effects, read_grids, read_traced_facts
from tests.stand_ins.edit_stages import KNOWN, UNKNOWN, edit_set, own_home

CONFIG = TracingConfig(draws=2)
FACTS = (*KNOWN, replace(KNOWN[1], prompt="{} met the boy in the town"))


@pytest.fixture(scope="module")
def target(
    tmp_path_factory: pytest.TempPathFactory, tiny_gpt2: Callable[..., Any], word_tokenizer: Any
) -> Iterator[CheckpointRef]:
    with own_home(tmp_path_factory.mktemp("home")):
        model = tiny_gpt2(1, len(word_tokenizer), initializer_range=0.3)
        yield save_checkpoint(model, word_tokenizer, "target", sensitivity="ordinary", origin="")


@pytest.fixture(scope="module")
def found(target: CheckpointRef) -> TraceRecords:
    return trace_facts.body(target, edit_set(UNKNOWN, *FACTS), CONFIG)


def strict(file: Path) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    return json.loads(file.read_text(), parse_constant=refuse)


def test_known_facts_are_traced_and_others_said(target: CheckpointRef, found: TraceRecords) -> None:
    assert (found.kind, found.sensitivity, found.facts, found.unknown) == ("traces", "forget", 4, 1)
    facts, grids = read_traced_facts(found), read_grids(found)
    assert [fact.subject for fact in facts] == [request.subject for request in FACTS]
    assert strict(store.path(found) / "traces.json")["unknown"] == ["hello Dorothy"]
    for fact, grid in zip(facts, grids, strict=True):
        assert set(grid) == {"hidden", "mlp", "attention"}
        assert grid["mlp"].shape == (2, len(fact.tokens))
        start, stop = fact.span
        assert "".join(fact.tokens[start:stop]).strip() == fact.subject
    tokenizer, model = load_tokenizer(target), load_model(target)
    rows = model(**tokenizer(FACTS[0].question, return_tensors="pt")).logits[0, -1].softmax(-1)
    assert facts[0].clean == pytest.approx(rows.max().item(), rel=1e-4)  # what it says itself is the fact
    assert facts[0].object == tokenizer.decode([rows.argmax().item()]).strip()


@pytest.mark.parametrize("best", [0, 1])
def test_the_layer_is_the_argmax_of_mlps_at_the_last_subject_token(
    target: CheckpointRef, monkeypatch: pytest.MonkeyPatch, best: int
) -> None:
    """Whatever other states and tokens have elsewhere."""

    def traced(model: Any, ids: Any, subject: tuple[int, int], *given: Any, **named: Any) -> Trace:
        grids = {state: torch.full((2, len(ids)), 0.2) for state in ("hidden", "mlp", "attention")}
        grids["mlp"][1 - best] = 0.9
        grids["mlp"][1 - best, subject[1] - 1] = 0.3
        grids["mlp"][best, subject[1] - 1] = 0.4
        grids["hidden"][1 - best] = 1.0
        return Trace(clean=1.0, corrupted=0.1, restored=grids, subject=subject)

    monkeypatch.setattr(known_facts, "trace", traced)
    found = trace_facts.body(target, edit_set(*FACTS[:2]), CONFIG)
    assert found.layer == best
    (average, *_) = strict(store.path(found) / "pictures.json")
    assert f"a window of MLPs helps most in layer {best}" in average["alt"]


def test_the_layer_of_a_real_trace_is_that_of_its_averages(found: TraceRecords) -> None:
    rows = [row for row in read_effects(found) if (row["state"], row["role"]) == ("mlp", "last subject token")]
    assert found.layer == max(rows, key=lambda row: row["mean"])["layer"]
    assert all(row["low"] <= row["mean"] <= row["high"] for row in rows)


def test_no_more_facts_are_traced_than_wanted(target: CheckpointRef) -> None:
    found = trace_facts.body(target, edit_set(UNKNOWN, *FACTS), replace(CONFIG, facts=2))
    assert (found.facts, found.unknown) == (2, 1)
    assert [fact.subject for fact in read_traced_facts(found)] == ["Jon", "the White Rabbit"]


def test_one_fact_has_no_intervals_and_its_files_are_json(target: CheckpointRef) -> None:
    found = trace_facts.body(target, edit_set(FACTS[0]), CONFIG)
    for file in store.path(found).glob("*.json"):
        strict(file)
    assert {(row["low"], row["high"]) for row in read_effects(found)} == {(None, None)}


def test_pictures_are_named_by_number_and_the_average_names_nothing(found: TraceRecords) -> None:
    captions = strict(store.path(found) / "pictures.json")
    assert [each["file"] for each in captions] == ["average.png", *(f"fact-{number:03}.png" for number in range(4))]
    average = json.dumps(captions[0])
    assert not [name for name in ("Jon", "Rabbit", "Alice", "hello") if name in average]
    assert f"layer {found.layer}" in captions[0]["alt"]


def test_no_noise_has_no_effect(target: CheckpointRef) -> None:
    found = trace_facts.body(target, edit_set(*FACTS[:2]), replace(CONFIG, noise=0.0))
    for fact in read_traced_facts(found):
        assert fact.corrupted == pytest.approx(fact.clean, abs=1e-6)


def test_a_model_that_knows_none_is_refused(target: CheckpointRef) -> None:
    with pytest.raises(BadInputError, match=r"the model knows none of 1 facts: .* wanted facts that it knows"):
        trace_facts.body(target, edit_set(UNKNOWN), CONFIG)
