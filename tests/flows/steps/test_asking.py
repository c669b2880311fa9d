"""Claims, on a real server with a person who answers through its API: what was decided before is not asked again, by
`new`, and all of it once by `all`; a wrong answer is shown again with what is wrong; a person can end the run, which is
then cancelled; a run that is tried again goes on from what was read; no form stays on the server.
"""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State
from prefect.flow_runs import resume_flow_run
from prefect.runtime import flow_run
from pydantic import BaseModel, Field

from flows.steps import forms
from flows.steps.asking import Part, Question, Review, settle
from flows.steps.decisions import Row, decisions_on
from flows.steps.flow_runs import flow
from flows.steps.forms import CANCELLED, Cancellable
from tests.stand_ins.waiting import PATIENCE_S, wait_for


class Entry(BaseModel):
    keep: bool = True
    name: str = Field(min_length=1)
    words: str = ""


class NamesForm(Cancellable):
    names: list[Entry]


def accepted(rows: Mapping[str, list[Row]]) -> list[Row]:
    if [name for name, _ in rows["names"]].count("Ostrin") > 1:
        raise ValueError("Ostrin stands there twice")
    return rows["names"]


def question(proposed: list[Row]) -> Question[list[Row]]:
    part = Part(
        title="Names",
        proposed=proposed,
        as_entry=lambda shown: Entry(keep=shown.keep, name=shown.row[0], words=shown.row[1]),
        as_row=lambda entry: (entry.name, entry.words),
        name_length=1,
    )
    return Question(stage="names", invitation="Look.", form=NamesForm, parts={"names": part}, check=accepted)


@flow(name="asking-alone", log_prints=False)
def ask(proposed: list[Row], review: Review, failures: list[int]) -> list[Row]:
    """Ask about rows; fail once after that for every failure."""
    wanted = settle(question([tuple(row) for row in proposed]), decisions_on(None, ["names"]), review)
    if failures:
        failures.pop()
        raise RuntimeError("tried again")
    return wanted


def inputs(server: SyncPrefectClient, run: UUID) -> dict[str, Any]:
    found = server.filter_flow_run_input(run, key_prefix="paused", limit=10, exclude_keys=set())
    return {item.key: item.decoded_value for item in found}


def waiting(server: SyncPrefectClient) -> FlowRun | None:
    """Return the run that waits with its form on the server."""
    for run in server.read_flow_runs():
        if (
            run.state
            and run.state.is_paused()
            and f"paused-{run.state.state_details.pause_key}-schema" in inputs(server, run.id)
        ):
            return run
    return None


class Person:
    """Answers one form after the other; `seen` has them."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.seen: list[dict[str, Any]] = []
        self.failed: list[Exception] = []
        self._answers, self._thread = answers, threading.Thread(target=self._answer)

    def __enter__(self) -> "Person":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.join()
        assert self.failed == []
        with get_client(sync_client=True) as server:
            assert [inputs(server, seen["run"]) for seen in self.seen] == [{} for _ in self.seen]

    def _answer(self) -> None:
        try:
            with get_client(sync_client=True) as server:
                for answer in self._answers:
                    run = wait_for(lambda: waiting(server), "a form", 60, every_s=0.2)
                    found, key = inputs(server, run.id), f"paused-{run.state.state_details.pause_key}"
                    shown = found[f"{key}-schema"]["properties"]
                    self.seen.append({"run": run.id, "key": key, "description": found[f"{key}-description"], **shown})
                    resume_flow_run(run.id, run_input=answer)
        except Exception as error:
            self.failed.append(error)


def rows(seen: dict[str, Any]) -> list[tuple[bool, str, str]]:
    return [(row["keep"], row["name"], row["words"]) for row in seen["names"]["default"]]


@pytest.fixture(autouse=True)
def impatient(flow_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "POLL_S", 0.2)
    monkeypatch.setattr(forms, "WAIT_S", int(PATIENCE_S))


OSTRIN, WICK, TAMSIN = ("Ostrin", "Tom"), ("Wick", "Lee"), ("Tamsin", "Ann")


def sent(*of: Row, **changes: Any) -> dict[str, Any]:
    return {"names": [{"name": name, "words": words} for name, words in of], **changes}


def test_a_rerun_asks_only_about_what_is_new_and_nobody_where_nothing_is() -> None:
    with Person(sent(OSTRIN)) as person:
        assert ask([OSTRIN, WICK], "new", []) == [OSTRIN]
    assert person.seen[0]["names"]["title"] == "Names: 2"
    assert "Only what is new" not in person.seen[0]["description"]
    assert ask([OSTRIN, WICK], "new", []) == [OSTRIN]
    with Person(sent(TAMSIN)) as person:
        assert ask([OSTRIN, WICK, TAMSIN], "new", []) == [OSTRIN, TAMSIN]
    assert rows(person.seen[0]) == [(True, *TAMSIN)]
    assert person.seen[0]["names"]["title"] == "Names: 2, 1 new since the last review"
    assert person.seen[0]["description"].startswith("Only what is new is shown")
    with Person({}) as person:  # as it stands
        assert ask([OSTRIN, WICK, TAMSIN], "all", []) == [OSTRIN, TAMSIN]
    assert rows(person.seen[0]) == [(True, *OSTRIN), (False, *WICK), (True, *TAMSIN)]


def test_a_wrong_answer_is_shown_again_with_what_is_wrong() -> None:
    with Person(sent(OSTRIN, WICK, ("Ostrin", "Bert")), sent(WICK)) as person:
        assert ask([OSTRIN, WICK], "new", []) == [WICK]
    assert "Not accepted: Ostrin stands there twice." in person.seen[1]["description"]
    assert rows(person.seen[1]) == [(True, *OSTRIN), (True, *WICK), (True, "Ostrin", "Bert")]
    assert [seen["key"] for seen in person.seen] == ["paused-names-1", "paused-names-2"]


def test_a_person_ends_the_run_and_nothing_is_remembered() -> None:
    with Person(sent(cancel=True)) as person:
        state = ask([OSTRIN], "new", [], return_state=True)
    assert isinstance(state, State)
    assert (state.is_cancelled(), state.message) == (True, CANCELLED)
    assert person.seen[0]["cancel"]["title"].startswith("End the run")
    assert not decisions_on(None, ["names"]).is_known(["names"])


@pytest.mark.parametrize("review", ["new", "all"])
def test_a_run_that_is_tried_again_goes_on_with_what_was_sent(review: Review) -> None:
    with Person(sent(WICK)) as person:
        # Prefect counts what goes on after a pause as a try
        assert ask.with_options(retries=2)([OSTRIN, WICK], review, [1]) == [WICK]
    assert len(person.seen) == 1


@flow(name="asking-again", log_prints=False)
def ask_again(proposed: list[Row]) -> list[Row]:
    """Ask in a run whose first form was shown before and never sent."""
    with get_client(sync_client=True) as server:
        policy = server.read_flow_run(UUID(flow_run.id)).empirical_policy
        server.update_flow_run(
            UUID(flow_run.id), empirical_policy=policy.model_copy(update={"pause_keys": {"names-1"}})
        )
    return settle(question([tuple(row) for row in proposed]), decisions_on(None, ["names"]), "new")


def test_a_form_that_was_never_sent_is_shown_anew_when_the_run_is_tried_again() -> None:
    with Person(sent(WICK)) as person:
        assert ask_again([OSTRIN, WICK]) == [WICK]
    assert person.seen[0]["key"] == "paused-names-2"
