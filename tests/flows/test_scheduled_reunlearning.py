"""Claims, in three nights on a real server and a real MLflow store: the first carries out two new requests, the second
from what the first made, and scores the first again; the second night has nothing to do, says so, and makes no run; on
the third there is a new base, all begin anew, and a verdict that is not passed fails the night.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

from flows.scheduled_reunlearning import OneBase, _on_base, scheduled_reunlearning
from flows.steps import overdue
from flows.steps.bases import Base
from tasks import store, tracking, tracking_leases
from tasks.corpus import gather_inputs
from tasks.execution import isolation
from tasks.models.checkpoints import inspect_model
from tasks.removals import register
from tasks.removals.aliases import model_name
from tasks.removals.records import today
from tasks.removals.register import find
from tasks.settings.removal_requests import RemovalRequest
from tasks.tracking_registry import Version, aliased, versions
from tasks.tracking_server import experiment_id
from tests.stand_ins.databases import give_runs
from tests.stand_ins.in_process import in_this_process
from tests.stand_ins.removals import TARGET, later, received
from tests.stand_ins.tiny import NAMES, SETTINGS, TinyTask, story

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]
SHORT = (
    *(setting for setting in SETTINGS if setting.startswith(("anchors.", "probing.", "reinforcement."))),
    "relearning.steps=[]",
    "verdict.required=[forgotten]",
)
EASY, HARD = "verdict.forgotten_ratio=1000", "verdict.forgotten_ratio=0"
OTHERS = ("Quillane", "Morvath", "Tessaly", "Underwick")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A night, and what was there after it."""

    state: State
    runs: list[str]
    """Names of the runs that it made, those of stages among them."""
    versions: list[Version]
    """Of the base's registered model, the earliest first."""
    pointing: tuple[int | None, int | None]
    """What `candidate` and `unlearned` point to."""
    states: list[str]
    """Of the requests."""
    seconds: float
    late: list[str]
    """What was told of requests past their day."""


def entered(task: TinyTask, forget: Path, model: Path, retain: Path) -> None:
    text = replace(task.request(), forget=(str(forget),), model=str(model), retain=(str(retain),))
    wanted = RemovalRequest(subject="a book", reason="a contract", due=later(), text=text, method="task_vector")
    target, inputs = inspect_model(text.model, "target"), gather_inputs(**text.files()).by_split()
    register.add(wanted, target, inputs)


def made_runs() -> list[str]:
    api = tracking.client()
    return [run.info.run_name for run in api.search_runs([experiment_id(api)])]


def night(model: Path, verdict: str, days: int, *, require_verdict: bool = True) -> Seen:
    before, began, day = made_runs(), time.monotonic(), today() + timedelta(days=days)
    told: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overdue, "emit_event", lambda **event: told.append(event["payload"]["message"]))
        state = scheduled_reunlearning((*SHORT, verdict), day, require_verdict=require_verdict, return_state=True)
    seconds, name = time.monotonic() - began, model_name(inspect_model(str(model), "target").digest)
    after = made_runs()
    return Seen(
        state=state,
        runs=after[: len(after) - len(before)],
        versions=versions(name)[::-1],
        pointing=(aliased(name, "candidate"), aliased(name, "unlearned")),
        states=[find(one).state for one in ("R-0001", "R-0002")],
        seconds=seconds,
        late=told,
    )


@pytest.fixture(scope="module")
def nights(
    tmp_path_factory: pytest.TempPathFactory, tiny_task: TinyTask, tiny_llama: Callable, prefect_server: str
) -> Iterator[list[Seen]]:
    folder = tmp_path_factory.mktemp("nights")
    other, keeps, model = folder / "other.txt", folder / "keeps.txt", folder / "model"
    other.write_text(story(OTHERS))
    keeps.write_text(f"{tiny_task.retain.read_text()}\n\n{story(NAMES, passages=1)}")
    shutil.copytree(tiny_task.model, model)
    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_settings({PREFECT_LOCAL_STORAGE_PATH: str(folder / "lethe" / "results")}),
    ):
        patch.setenv("LETHE_HOME", str(folder / "lethe"))
        patch.setattr(store, "_checked", set())
        patch.setattr(isolation, "run_isolated", in_this_process)
        give_runs(folder / "lethe")
        entered(tiny_task, tiny_task.forget, model, tiny_task.retain)
        entered(tiny_task, other, model, keeps)
        found = [night(model, EASY, 0), night(model, EASY, 1)]
        tiny_llama(1).save_pretrained(model)
        yield [*found, night(model, HARD, 40)]
    isolation.begin()


def test_the_first_night_carries_out_both_one_after_the_other_on_one_model(nights: list[Seen]) -> None:
    first = nights[0]
    assert first.state.is_completed(), first.state.message
    assert first.states == ["verified", "verified"]
    one, two = first.versions
    assert [version.tags["lethe.request"] for version in first.versions] == ["R-0001", "R-0002"]
    assert two.tags["lethe.target"] == one.tags["lethe.checkpoint"], "the second starts from what the first made"
    assert {version.tags["lethe.base"] for version in first.versions} == {one.tags["lethe.target"]}


def test_the_first_is_scored_again_on_what_the_second_made(nights: list[Seen]) -> None:
    first = nights[0]
    assert first.versions[1].tags["lethe.verdict.R-0001"] == "passed"
    assert first.pointing == (2, 2)
    assert "R-0001 scored again: passed" in first.state.message
    assert "scored again on" in find("R-0001").history[3].words


def test_what_one_keeps_and_the_other_forgets_is_reported_in_counts(nights: list[Seen]) -> None:
    assert "R-0002 keeps what R-0001 forgets (1 rows, " in nights[0].state.message
    assert "R-0001 keeps" not in nights[0].state.message
    assert not any(name in night.state.message for night in nights for name in (*NAMES, *OTHERS, ".txt"))


def test_a_night_with_nothing_new_makes_no_run_and_says_so(nights: list[Seen]) -> None:
    second = nights[1]
    assert second.state.is_completed()
    assert second.state.message == "Nothing to do: of 2 requests none is new, due, on a changed model or come back"
    assert (second.runs, second.versions, second.pointing) == ([], nights[0].versions, nights[0].pointing)
    assert second.seconds < 10


def test_on_a_new_base_all_begin_anew_and_a_verdict_not_passed_fails_the_night(nights: list[Seen]) -> None:
    third = nights[2]
    assert third.state.is_failed()
    assert "R-0001 failed (new base), R-0002 failed (new base)" in third.state.message
    assert third.states == ["failed", "failed"]
    assert [version.name for version in third.versions] != [version.name for version in nights[0].versions]
    assert len({version.tags["lethe.target"] for version in third.versions}) == 1, "none starts from what did not pass"
    assert third.pointing == (2, None)


def test_what_waits_for_a_person_is_let_alone(
    tmp_path: Path, lethe_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_runs(lethe_home)
    removal = received(tmp_path, "text")
    base = Base(digest=TARGET.digest, model=TARGET.location, requests=(removal,), asked={})
    monkeypatch.setattr(tracking_leases, "requests_that_wait", lambda: {removal.id: "a flow run"})
    assert _on_base(base, (), today()) == OneBase(name=model_name(TARGET.digest))


def test_a_night_tells_of_requests_that_are_open_after_their_day(nights: list[Seen]) -> None:
    due = later()
    assert [night.late for night in nights] == [[], [], [f"R-000{n} was due on {due} and is failed" for n in (1, 2)]]
