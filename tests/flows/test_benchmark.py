"""Claims, on a real server and a real MLflow store: a model that was made for removal requests is measured once, again
when its alias has moved, and after some days with newly drawn prompts; all in one run, with a plot; what is above the
threshold makes its request due; nothing due, nothing measured; a model of the user's own is watched alike.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prefect.client.schemas.objects import State

from flows.benchmark import benchmark
from flows.scheduled_reunlearning import scheduled_reunlearning
from flows.steps.settings import apply_settings
from flows.steps.watching import watched_for
from tasks import store, tracking
from tasks.corpus import gather_inputs
from tasks.execution import isolation
from tasks.models.checkpoints import inspect_model
from tasks.monitoring.lasting_runs import Lasting, courses, find_lasting
from tasks.removals import register, states
from tasks.removals.aliases import model_name
from tasks.removals.records import today
from tasks.settings.monitoring import MonitoringConfig
from tasks.settings.removal_requests import RemovalRequest
from tasks.tracking_registry import set_alias, versions
from tasks.tracking_server import experiment_id
from tests.stand_ins.in_process import in_this_process
from tests.stand_ins.removals import later, made
from tests.stand_ins.tiny import NAMES, TinyTask

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]
SHORT = ("anchors.min_log_odds_z=0", "probing.window=64", "probing.prompts=4", "probing.new_tokens=4")
EASY = (
    *SHORT,
    "reinforcement.epochs=1",
    "reinforcement.block_size=32",
    "relearning.steps=[]",
    "verdict.required=[forgotten]",
    "verdict.forgotten_ratio=1000",
)
LOW = "monitor.threshold=0.5"
"""The model that is in use is its own target here, so that what was to be forgotten is all there."""


@pytest.fixture(autouse=True)
def home(flow_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(isolation, "run_isolated", in_this_process)
    yield flow_home
    isolation.begin()


def config(*settings: str) -> MonitoringConfig:
    return apply_settings(MonitoringConfig(), [*SHORT, *settings])


def look(*settings: str, days: int = 0) -> State:
    return benchmark(config=config(*settings), today=today() + timedelta(days=days), return_state=True)


def verified(task: TinyTask) -> str:
    """Enter a request, verified, whose model in use is the base itself, and return the registered model's name."""
    said = {"subject": "a book", "reason": "a contract", "due": later(), "method": "task_vector"}
    wanted = RemovalRequest(**said, text=task.request())
    target, inputs = inspect_model(str(task.model), "target"), gather_inputs(**task.request().files()).by_split()
    removal = register.add(wanted, target, inputs)
    states.change(removal.id, "running")
    states.change(removal.id, "verified", "verdict passed")
    name = model_name(target.digest)
    in_use(name, target.digest, task)
    return name


def in_use(name: str, base: str, task: TinyTask, also: str = "") -> None:
    def write(folder: Path) -> None:
        for file in task.model.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        (folder / "beside.txt").write_text(also)

    tags = {"lethe.base": base, "lethe.request": "R-0001", "lethe.verdict.R-0001": "passed"}
    set_alias(made(name, store.put("checkpoints", write), tags), "unlearned")


def measured(name: str) -> Lasting:
    return find_lasting(watched_for(name, {}).key)


def test_the_models_of_requests_are_watched(tiny_task: TinyTask) -> None:
    assert look().message == "Nothing to measure: no alias `unlearned` is set"
    name = verified(tiny_task)
    assert look(LOW).message == f"models:/{name}@unlearned: measured (first), above the threshold: R-0001"
    still = f"models:/{name}@unlearned: nothing has changed, and no measurement is due"
    assert look(LOW, days=6).message == still
    assert look("monitor.threshold=2", days=7).message == f"models:/{name}@unlearned: measured (days)"
    in_use(name, inspect_model(str(tiny_task.model), "target").digest, tiny_task, "another version")
    assert "measured (model), above" in look(LOW, days=8).message
    lasting = measured(name)
    assert [(point.why, point.draw, point.above) for point in lasting.points] == [
        ("first", 0, ("R-0001",)),
        ("days", 1, ()),
        ("model", 1, ("R-0001",)),
    ]
    steps = {metric: [step for step, _ in course] for metric, course in courses(lasting).items()}
    assert steps["R-0001/forget_test/familiarity"] == steps["benchmark/world/acc"] == [1, 2, 3]
    assert "R-0001/forget_test/familiarity.target" in steps
    run = tracking.client().get_run(lasting.run)
    (plot,) = tracking.client().list_artifacts(lasting.run, "monitor")
    assert plot.path == "monitor/measurements.png"
    assert not any(forgotten in str(run) for forgotten in (*NAMES, str(tiny_task.forget)))
    runs = tracking.client().search_runs([experiment_id(tracking.client())])
    assert [each.info.run_id for each in runs] == [lasting.run], "no run but the lasting one"


def test_what_came_back_makes_its_request_due(tiny_task: TinyTask, monkeypatch: pytest.MonkeyPatch) -> None:
    name = verified(tiny_task)
    assert scheduled_reunlearning(return_state=True).message.startswith("Nothing to do")
    with monkeypatch.context() as tomorrow:
        tomorrow.setattr("tasks.removals.records.now", lambda: f"{later(1)}T02:00:00+00:00")
        assert look(LOW, days=1).is_completed()
    assert "R-0001 verified (came back)" in scheduled_reunlearning(EASY, return_state=True).message
    assert len(versions(name)) == 2


def test_a_model_of_the_users_own_is_watched_alike(tiny_task: TinyTask) -> None:
    request = replace(tiny_task.request(), model="")
    states = [
        benchmark(request, config(), judged=str(tiny_task.model), today=today(), return_state=True) for _ in range(2)
    ]
    name = f"model {inspect_model(str(tiny_task.model), 'unlearned').digest[:8]}"
    assert [state.message for state in states] == [
        f"{name}: measured (first)",
        f"{name}: nothing has changed, and no measurement is due",
    ]


def test_half_of_what_it_needs_is_refused(tiny_task: TinyTask) -> None:
    state = benchmark(tiny_task.request(), return_state=True)
    assert state.is_failed()
    assert "only one of `request` and `judged` is given; wanted both, or neither" in state.message
