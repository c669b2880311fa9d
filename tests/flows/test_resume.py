"""A run that was killed at any stage and started again ends with the weights, to the bit, of one that never was."""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from safetensors import SafetensorError, safe_open

from tasks import tracking
from tasks.reporting import run_history
from tests.stand_ins.command import lethe, start
from tests.stand_ins.tiny import TinyTask
from tests.stand_ins.waiting import end_of, wait_for

pytestmark = pytest.mark.slow
EPOCHS = ("reinforcement.epochs=40", "finetune.epochs=60", "finetune.courses=1", "finetune.patience=1000")
"""Several hundred steps in either training stage: long enough to be met."""
SAVE_OFTEN = {"LETHE_SAVE_EVERY_S": "0.05"}


@dataclass(frozen=True, kw_only=True)
class Ended:
    """One run that was left alone and one that was killed again and again."""

    alone: Path
    killed: Path
    stages: tuple[str, ...]
    """Stages in which it was killed, once in each."""
    survivors: list[psutil.Process]
    """Processes of killed runs that did not end by themselves."""


@pytest.fixture(
    scope="module",
    params=[("finetune",), ("reinforce", "labels", "finetune")],
    ids=["once", "three times"],
)
def ended(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    tiny_task: TinyTask,
    prefect_server: str,
) -> Iterator[Ended]:
    alone, killed = tmp_path_factory.mktemp("alone"), tmp_path_factory.mktemp("killed")
    words = tiny_task.words(*EPOCHS, "relearning.steps=[]")
    survivors: list[psutil.Process] = []
    surroundings = {**SAVE_OFTEN, "PREFECT_API_URL": prefect_server}
    with start(*words, "--out", alone / "out", home=alone / "lethe", **surroundings) as undisturbed:
        try:
            for stage in request.param:
                point = inside(stage) if stage == "labels" else inside_training(stage)
                survivors += kill_at(point, words, killed)
            last = lethe(*words, "--out", killed / "out", home=killed / "lethe", **SAVE_OFTEN)
            error = end_of(undisturbed, alone / "lethe").stderr
        finally:
            undisturbed.kill()
            for process in survivors:
                process.kill()
    assert (undisturbed.returncode, last.returncode) == (0, 0), error + last.stderr
    yield Ended(alone=alone, killed=killed, stages=request.param, survivors=survivors)


def kill_at(point: Callable[[Path], bool], words: list[str], folder: Path) -> list[psutil.Process]:
    """Start the command, kill it (and not its children) when `point` is reached, and return the children that outlive
    it.
    """
    log = folder / "stderr"
    log.write_text("")
    with start(*words, home=folder / "lethe", error=log, **SAVE_OFTEN) as process:
        try:
            wait_for(
                lambda: process.poll() is not None or point(folder / "lethe"), "the point to kill at", every_s=0.02
            )
            assert process.poll() is None, f"it ended before it was killed: {log.read_text()}"
            children = psutil.Process(process.pid).children(recursive=True)
        finally:
            process.kill()  # SIGKILL, and to this process alone
    assert len(children) >= 2, "a stage and the server at least"
    return psutil.wait_procs(children, timeout=30)[1]


def inside_training(stage: str) -> Callable[[Path], bool]:
    """Return whether a stage is past its fortieth step and before its last but fortieth."""

    def reached(home: Path) -> bool:
        states = list((home / "forget" / "work").glob(f"{stage}-*/state.safetensors"))
        return bool(states) and 40 <= step_of(states[0])[0] <= step_of(states[0])[1] - 40

    return reached


def inside(stage: str) -> Callable[[Path], bool]:
    """Return whether a stage has opened its run in MLflow and not ended it."""

    def reached(home: Path) -> bool:
        with (
            contextlib.suppress(sqlite3.OperationalError),
            contextlib.closing(sqlite3.connect(f"file:{home}/mlflow.db?mode=ro", uri=True)) as database,
        ):
            return bool(
                database.execute("select 1 from runs where name = ? and status = 'RUNNING'", (stage,)).fetchall()
            )
        return False

    return reached


def step_of(state: Path) -> tuple[int, int]:
    try:
        with safe_open(state, framework="pt") as stream:
            numbers = json.loads(stream.metadata()["numbers"])
            return int(numbers["step"]), int(numbers["steps"])
    except (SafetensorError, FileNotFoundError):
        return 0, 0


def weights(home: Path, room: str) -> dict[str, bytes]:
    (folder,) = [path for path in (home / "lethe" / room).iterdir() if path.is_dir()]
    return {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}


@pytest.mark.parametrize("room", ["checkpoints", "forget/checkpoints"], ids=["unlearned", "reinforced"])
def test_the_weights_are_equal_to_the_bit(ended: Ended, room: str) -> None:
    assert weights(ended.killed, room) == weights(ended.alone, room)
    assert weights(ended.killed, room)


def test_so_are_the_scorecards_figures(ended: Ended) -> None:
    cards = [json.loads((folder / "out" / "scorecard.json").read_text()) for folder in (ended.alone, ended.killed)]
    assert cards[0]["metrics"] == cards[1]["metrics"]


def test_the_children_of_a_killed_run_end_by_themselves(ended: Ended) -> None:
    assert [process.name() for process in ended.survivors] == []


def test_training_went_on_where_it_was_and_no_run_is_left_running(
    ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LETHE_HOME", str(ended.killed / "lethe"))
    api = tracking.client()
    runs = api.search_runs([api.get_experiment_by_name(tracking.EXPERIMENT).experiment_id])
    # A stage whose report found nobody to take it has failed before its process noticed that the orchestrator is gone.
    assert {"FINISHED", "KILLED"} <= {run.info.status for run in runs} <= {"FINISHED", "KILLED", "FAILED"}
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert sorted(run.info.status for run in parents) == ["FINISHED", *["KILLED"] * len(ended.stages)]
    trained = {"reinforce": "reinforcement", "finetune": "finetune"}
    for stage in [trained[stage] for stage in ended.stages if stage in trained]:
        finished = [
            run.info.run_id
            for run in runs
            if run.info.run_name == stage and run.info.status == "FINISHED" and "lethe.cached" not in run.data.tags
        ]
        assert len(finished) == 1
        own = [point.step for point in tracking.points(finished[0], "loss_nats")]
        assert min(own) > 40, f"{stage} began anew"
        assert [step for step, _ in run_history.curve(finished[0], "loss_nats")] == list(range(1, max(own) + 1))


def test_nothing_unfinished_is_kept(ended: Ended) -> None:
    for folder in (ended.alone, ended.killed):
        assert [path for path in (folder / "lethe" / "forget" / "work").rglob("*") if path.is_file()] == []
        assert list((folder / "lethe").rglob("*.tmp")) == []
