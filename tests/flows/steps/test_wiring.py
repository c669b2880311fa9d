"""A graph of stages, declared once: submitted in a real flow run, looked up in the cache, made once where several need
it.
"""

from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from flows.steps.outcome import StageOf, Stages
from flows.steps.wiring import Call, Later, Wiring, look_up, replaced
from tasks import store
from tasks.artifacts import Artifact
from tasks.execution import isolation
from tests.stand_ins.stages import copy_note, copy_notes, take_note

WORDS = Later("words")


def graph(counter: Path) -> Call:
    """Return: a note, two copies of it under the labels of two models, and a copy of the second copy that needs
    `WORDS`.
    """
    note = Call(take_note, "hello", str(counter))
    one, other = (Call(copy_note, note, label, str(counter), model=label) for label in ("target", "unlearned"))
    return Call(copy_note, other, WORDS, str(counter), model=f"copied beside {one.model}")


def run(graph: Call, words: Any) -> tuple[dict[StageOf, Artifact], dict[StageOf, str], list[StageOf]]:
    """Submit a graph; return results, states, and what began before `WORDS` was there."""

    @flow(name="wired", task_runner=ThreadPoolTaskRunner(max_workers=1))
    def wired() -> Any:
        stages, wiring = Stages(run=""), Wiring(run=None)
        wiring.begin(graph)
        begun = list(wiring.waiting())
        wiring.values[WORDS] = words
        wiring.submit(graph)
        wiring.submit(graph)  # what is under way is not begun again
        return stages.results(wiring.waiting()), stages.states, begun

    isolation.begin()
    return wired()


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    folder = tmp_path / "computations"
    folder.mkdir()
    return folder


def test_a_graph_is_computed_once_upstream_first_and_keyed_by_stage_and_model(flow_home: Path, counter: Path) -> None:
    last = graph(counter)
    results, states, begun = run(last, "words")
    assert begun == [StageOf("noting")]  # the only call that waits for nothing
    assert [str(key) for key in results] == ["noting", "copying unlearned", "copying copied beside target"]
    assert list(results) == [call.key for call in last.upstream()]
    assert set(states.values()) == {"Completed"}
    assert len(list(counter.iterdir())) == 3
    assert set(run(graph(counter), "words")[1].values()) == {"Cached"}


def test_a_lookup_computes_nothing_and_stops_where_something_is_missing(flow_home: Path, counter: Path) -> None:
    last = graph(counter)
    assert set(look_up(last, {WORDS: "words"}).values()) == {None}
    results, _, _ = run(last, "words")
    assert look_up(last, {WORDS: "words"}) == results
    other = look_up(last, {WORDS: "other words"})
    assert [record is None for record in other.values()] == [False, False, True]
    assert len(list(counter.iterdir())) == 3


def test_what_is_needed_and_not_there_is_no_silent_none(flow_home: Path, counter: Path) -> None:
    with pytest.raises(KeyError):
        look_up(graph(counter), {})


def test_what_a_graph_needs_later_on_is_told_wherever_it_stands() -> None:
    note = Call(take_note, "hello", WORDS)
    last = Call(copy_note, ((note,), "x"), "label", "counter")
    assert last.needs(WORDS)
    assert not last.needs(Later("facts"))
    assert replaced(((note, 1), "x"), lambda one: "made") == (("made", 1), "x")
    assert replaced((1, "x"), lambda one: "made") == (1, "x")


def test_a_call_within_a_tuple_is_made_first_and_its_record_given(flow_home: Path, counter: Path) -> None:
    """Submitted and looked up alike."""
    note = Call(take_note, "hello", str(counter))
    last = Call(copy_notes, (Call(copy_note, note, "one", str(counter), model="first"), note))
    assert last.waits
    assert [each.stage.name for each in last.upstream()] == ["noting", "copying", "copying several"]
    assert set(look_up(last).values()) == {None}
    results, _, _ = run(last, "words")
    found = results[last.key]
    assert (store.path(found) / "note.txt").read_text().splitlines() == [
        results[StageOf("copying", "first")].digest,
        results[StageOf("noting")].digest,
    ]
    assert look_up(last) == results
    assert set(run(last, "words")[1].values()) == {"Cached"}
