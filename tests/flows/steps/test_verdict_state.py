"""Claims: a flow run ends in a state that names its verdict, tells it as an event, and fails where a verdict is
required and not passed; every flow that judges does so.
"""

import inspect
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.exceptions import FailedRun

from flows.demo import demo
from flows.evaluation import evaluate
from flows.methods import AUTOMATIC, METHODS
from flows.rank_one_editing import rank_one_editing
from flows.steps.verdict_state import FAILED, PASSED, concluded, in_words
from tasks import store
from tasks.artifacts import Scorecard
from tasks.storage.plain_files import write_json

HELD = {"forgotten": True, "utility_kept": True, "healthy": True, "robust": True, "private": None}


@dataclass(frozen=True)
class Outcome:
    scorecard: Scorecard
    mlflow_run: str = "a" * 32


def outcome(**checks: bool | None) -> Outcome:
    verdict = {**HELD, **checks, "evidence": "gold"}
    verdict["passed"] = False not in verdict.values()
    digest = store.put(
        "scorecards",
        lambda folder: write_json(folder / "scorecard.json", {"verdict": verdict}),
        sensitivity="public",
    )
    return Outcome(
        Scorecard(kind="scorecards", digest=digest, sensitivity="public", passed=verdict["passed"], evidence="gold")
    )


def test_a_verdict_in_one_line() -> None:
    assert in_words({**HELD, "passed": True, "evidence": "proxy"}) == "Verdict passed, evidence proxy"
    assert in_words({**HELD, "robust": False, "healthy": False, "passed": False, "evidence": "gold"}) == (
        "Verdict not passed, evidence gold, checks that fail: healthy, robust"
    )
    assert in_words({**dict.fromkeys(HELD), "passed": False, "evidence": "behavioural"}) == (
        "Verdict not passed, evidence behavioural, checks that fail: too little was measured"
    )


def test_the_state_says_it_and_hands_back_what_was_made(flow_home: Path) -> None:
    made = outcome(robust=False)

    @flow(name="judges")
    def judges() -> Outcome:
        return concluded(made)

    state = judges(return_state=True)
    assert (state.type.value, state.message) == (
        "COMPLETED",
        "Verdict not passed, evidence gold, checks that fail: robust",
    )
    assert judges() == made


def test_a_required_verdict_that_is_not_passed_fails_the_run_once(flow_home: Path) -> None:
    tries = []

    @flow(name="requires", retries=2)
    def requires(**checks: Any) -> Outcome:
        tries.append(checks)
        return concluded(outcome(**checks), require_verdict=True)

    state = requires(healthy=False, return_state=True)
    assert (state.type.value, state.message) == (
        "FAILED",
        "Verdict not passed, evidence gold, checks that fail: healthy",
    )
    assert len(tries) == 1, "what has no verdict has it at the second try neither"
    with pytest.raises(FailedRun, match="checks that fail: healthy"):
        requires(healthy=False)
    assert requires(healthy=True).scorecard.passed


def test_the_server_is_told_an_event(flow_home: Path) -> None:
    @flow(name="tells")
    def tells(**checks: Any) -> Outcome:
        return concluded(outcome(**checks))

    runs = [
        f"prefect.flow-run.{tells(**checks, return_state=True).state_details.flow_run_id}"
        for checks in ({}, {"forgotten": False})
    ]
    wanted = {
        PASSED: "Verdict passed, evidence gold",
        FAILED: "Verdict not passed, evidence gold, checks that fail: forgotten",
    }
    assert eventually(lambda: found if len(found := told(runs)) == len(wanted) else None) == wanted


def told(runs: list[str]) -> dict[str, str]:
    """Return the events of verdicts of some flow runs on the server: name -> message."""
    with get_client(sync_client=True) as client:
        found = client.request(
            "POST",
            "/events/filter",
            json={"filter": EventFilter(event=EventNameFilter(prefix=["lethe."])).model_dump(mode="json")},
        ).json()
    return {
        event["event"]: event["payload"]["message"]
        for event in found["events"]
        if event["resource"]["prefect.resource.id"] in runs
    }


def eventually(look: Any, seconds: float = 20.0) -> Any:
    end = time.monotonic() + seconds
    while (found := look()) is None and time.monotonic() < end:
        time.sleep(0.2)
    return found


def test_every_flow_that_judges_can_require_a_verdict_and_ends_in_it() -> None:
    judging = [method.flow() for method in (*METHODS.values(), *AUTOMATIC.values())] + [
        demo,
        evaluate,
        rank_one_editing,
    ]
    for one in judging:
        assert inspect.signature(one.fn).parameters["require_verdict"].default is False, one.name
        assert "return concluded(" in inspect.getsource(one.fn), one.name
