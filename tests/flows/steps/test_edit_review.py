"""A person's edits through a real server: the run pauses, refuses what cannot be, takes what can, and leaves nothing of
it behind.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.flow_runs import resume_flow_run

from flows.steps import forms
from flows.steps.decisions import decisions_on
from flows.steps.edit_review import review_edits
from tasks.artifacts import EditSet
from tasks.edit_requests import keep_edits
from tasks.execution import isolation
from tasks.settings.edit_request import EditRequest
from tests.stand_ins.waiting import PATIENCE_S, wait_for

PROPOSED = (
    EditRequest(
        subject="Ostrin", prompt="{} lives in", object="Velmora", target="Dunmore", paraphrases=("Ostrin is in",)
    ),
    EditRequest(subject="Kessandra", prompt="{} owns", target="a farm", paraphrases=("Of Kessandra is",)),
    EditRequest(subject="Tamsin", prompt="{} met", target="Brin"),
)


def inputs(server: SyncPrefectClient, run: FlowRun) -> dict[str, Any]:
    found = server.filter_flow_run_input(run.id, key_prefix="paused", limit=10, exclude_keys=set())
    return {item.key: item.decoded_value for item in found}


def waiting(server: SyncPrefectClient, key: str) -> FlowRun | None:
    for run in server.read_flow_runs():
        if run.state and run.state.is_paused() and run.state.state_details.pause_key == key and inputs(server, run):
            return run
    return None


@pytest.fixture
def reviewed(flow_home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[EditRequest, ...]]:
    """Return a function that runs a review, while a person answers its forms with the given rows, one after the other;
    `seen` gets the forms.
    """
    monkeypatch.setattr(forms, "POLL_S", 0.2)
    monkeypatch.setattr(forms, "WAIT_S", int(PATIENCE_S))

    @flow(name="edit review alone")
    def alone(edits: EditSet) -> tuple[EditRequest, ...]:
        isolation.begin()
        return review_edits(edits, decisions_on(None, [edits.digest]))

    def run(answers: list[list[dict[str, str]]], seen: list[dict[str, Any]]) -> tuple[EditRequest, ...]:
        edits, failed = keep_edits.body(PROPOSED), []

        def person() -> None:
            try:
                with get_client(sync_client=True) as server:
                    for turn, rows in enumerate(answers, 1):
                        key = f"edit-review-{turn}"
                        paused = wait_for(lambda key=key: waiting(server, key), f"the form {key}", every_s=0.2)
                        found = inputs(server, paused)
                        default = found[f"paused-{key}-schema"]["properties"]["edits"]["default"]
                        seen.append({"rows": default, "description": found[f"paused-{key}-description"], "run": paused})
                        resume_flow_run(paused.id, run_input={"edits": rows})
            except Exception as error:
                failed.append(error)

        thread = threading.Thread(target=person)
        thread.start()
        wanted = alone(edits)
        thread.join()
        assert failed == []
        return wanted

    return run


def row(subject: str, prompt: str, target: str, object_: str = "") -> dict[str, str]:
    return {"subject": subject, "prompt": prompt, "object": object_, "target": target}


def test_a_person_amends_edits_and_nothing_of_it_stays_on_the_server(
    reviewed: Callable[..., tuple[EditRequest, ...]],
) -> None:
    left = row("Ostrin", "{} lives in", "Dunmore", "Velmora")
    changed, added = row("Kessandra", "{} owns", " a mill ", "a cow"), row("Brin", "Brin rules", "Wick")
    seen: list[dict[str, Any]] = []
    wanted = reviewed(
        [
            [left, row("Brin", "Tamsin rules", "Wick")],
            [left, row("Ostrin", "{} lives in", "Wick")],
            [left, changed, added, left],
        ],
        seen,
    )
    assert wanted == (
        PROPOSED[0],
        EditRequest(
            subject="Kessandra", prompt="{} owns", object="a cow", target="a mill", paraphrases=("Of Kessandra is",)
        ),
        EditRequest(subject="Brin", prompt="{} rules", target="Wick"),
    )
    shown = [{"keep": True} | row(edit.subject, edit.prompt, edit.target, edit.object) for edit in PROPOSED]
    assert seen[0]["rows"] == shown
    assert seen[0]["description"].strip().startswith("Every row below is a fact that is to be rewritten")
    assert "Not accepted: the subject 'Brin' is not in the prompt 'Tamsin rules'; wanted" in seen[1]["description"]
    assert [(entry["keep"], entry["prompt"]) for entry in seen[1]["rows"]] == [
        (True, "{} lives in"),
        (False, "{} owns"),
        (False, "{} met"),
        (True, "Tamsin rules"),
    ]
    assert "Not accepted: edits 1 and 2 are in conflict: after 'Ostrin lives in'" in seen[2]["description"]
    with get_client(sync_client=True) as server:
        assert inputs(server, seen[0]["run"]) == {}
