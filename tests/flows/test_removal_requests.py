"""Claims: runs for two requests on one model, by the flow of a method: each goes through its states, and run and
version are named by it; the two share the registered model of their target, and `unlearned` is not whichever passed
last but what passed for both; a rerun that makes nothing new moves no alias.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

from flows.methods import METHODS
from flows.steps.outcome import Outcome, StageOf
from flows.steps.settings import apply_settings
from tasks import store, tracking
from tasks.artifacts import BadInputError
from tasks.corpus import gather_inputs
from tasks.execution import isolation
from tasks.models.checkpoints import inspect_model
from tasks.removals import register, states
from tasks.removals.aliases import scored_again
from tasks.removals.register import find
from tasks.settings.removal_requests import RemovalRequest
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.tracking_registry import aliased, find_version
from tests.stand_ins.databases import give_runs
from tests.stand_ins.in_process import in_this_process
from tests.stand_ins.removals import later
from tests.stand_ins.tiny import SETTINGS, TinyTask, story

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
"""MLflow's own, on import of what registers models, which otherwise another process does."""
SHORT = [setting for setting in SETTINGS if setting.startswith(("anchors.", "probing.", "reinforcement."))]
EASY = ("verdict.required=[forgotten]", "verdict.forgotten_ratio=1000")
OTHERS = ("Quillane", "Morvath", "Tessaly", "Underwick")


@dataclass(frozen=True, kw_only=True)
class Books:
    """Two requests on one model, each carried out once."""

    asked: dict[str, UnlearningRequest]
    """Id -> what a run for it is given."""
    outcomes: dict[str, Outcome]
    name: str
    """Of the registered model."""


def carried_out(request: UnlearningRequest, *settings: str) -> Outcome:
    method = METHODS["task_vector"]
    changed = [*SHORT, "relearning.steps=[]", *(settings or EASY)]
    return method.flow()(request, apply_settings(method.preset("default", 0), changed))


def entered(task: TinyTask, forget: Path) -> UnlearningRequest:
    text = replace(task.request(), forget=(str(forget),))
    wanted = RemovalRequest(subject="a book", reason="a contract", due=later(), text=text, method="task_vector")
    target, inputs = inspect_model(text.model, "target"), gather_inputs(**text.files()).by_split()
    return replace(text, removal=register.add(wanted, target, inputs).id)


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory, tiny_task: TinyTask, prefect_server: str) -> Iterator[Books]:
    folder = tmp_path_factory.mktemp("requests")
    other = folder / "other.txt"
    other.write_text(story(OTHERS))
    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_settings({PREFECT_LOCAL_STORAGE_PATH: str(folder / "lethe" / "results")}),
    ):
        patch.setenv("LETHE_HOME", str(folder / "lethe"))
        patch.setattr(store, "_checked", set())
        patch.setattr(isolation, "run_isolated", in_this_process)
        give_runs(folder / "lethe")
        asked = {
            request.removal: request for request in (entered(tiny_task, tiny_task.forget), entered(tiny_task, other))
        }
        outcomes = {removal: carried_out(request) for removal, request in asked.items()}
        name = f"lethe-{find('R-0001').base[:8]}"
        yield Books(asked=asked, outcomes=outcomes, name=name)
    isolation.begin()


def pointing(books: Books) -> tuple[int | None, int | None]:
    return aliased(books.name, "candidate"), aliased(books.name, "unlearned")


def test_each_request_is_verified_by_a_run_of_its_name(books: Books) -> None:
    for removal, outcome in books.outcomes.items():
        run = tracking.client().get_run(outcome.mlflow_run)
        assert run.info.run_name == f"{removal} task_vector {find(removal).target[:8]}"
        assert run.data.tags["lethe.request"] == removal
        history = find(removal).history
        assert [change.state for change in history] == ["received", "running", "verified"]
        assert {change.run for change in history[1:]} == {outcome.mlflow_run}


def test_their_versions_are_told_apart_and_none_is_unlearned_before_it_passed_for_both(books: Books) -> None:
    assert [outcome.model_version for outcome in books.outcomes.values()] == [
        f"{books.name} version 1",
        f"{books.name} version 2",
    ]
    versions = [find_version(books.name, number) for number in (1, 2)]
    assert [version.tags["lethe.request"] for version in versions] == ["R-0001", "R-0002"]
    assert len({version.tags["lethe.forget"] for version in versions}) == 2
    assert [version.tags["lethe.verdict"] for version in versions] == ["passed", "passed"]
    assert pointing(books) == (2, None), "neither was scored on the other's text"


def test_scored_again_for_the_other_request_it_is_unlearned_and_a_rollback_stays(books: Books) -> None:
    one = find("R-0001")
    scored_again(find_version(books.name, 2), one.base, one, passed=True)
    assert pointing(books) == (2, 2)
    tracking.client().set_registered_model_alias(books.name, "unlearned", "1")
    again = carried_out(books.asked["R-0002"])
    assert (again.model_version, again.stages[StageOf("registration")]) == (f"{books.name} version 2", "Cached")
    assert pointing(books) == (2, 1)
    assert [change.state for change in find("R-0002").history[-2:]] == ["running", "verified"]


def test_the_report_that_a_version_names_is_there_and_holds_no_forgotten_text(books: Books, tmp_path: Path) -> None:
    place = find_version(books.name, 1).tags["lethe.report"]
    run, _, path = place.removeprefix("runs:/").partition("/")
    page = Path(tracking.client().download_artifacts(run, path, tmp_path)).read_text()
    assert "verdict" in page.lower()
    assert "Velmora" not in page


def test_a_model_deleted_in_the_registry_fails_no_later_run(books: Books) -> None:
    tracking.client().delete_registered_model(books.name)
    again = carried_out(books.asked["R-0002"])
    assert (again.model_version, again.stages[StageOf("registration")]) == (f"{books.name} version 1", "Completed")
    assert pointing(books) == (1, None)


def test_a_verdict_that_is_not_passed_fails_the_request(books: Books) -> None:
    carried_out(books.asked["R-0001"], "verdict.forgotten_ratio=0")
    assert (find("R-0001").state, find("R-0001").history[-1].words) == ("failed", "verdict not passed")


def test_a_request_that_has_ended_is_not_carried_out(books: Books) -> None:
    states.cancel("R-0001")
    with pytest.raises(BadInputError, match="R-0001 is cancelled and cannot become running"):
        carried_out(books.asked["R-0001"])
