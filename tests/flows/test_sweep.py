"""Sweeps on a random model of two layers: a trial that keeps too little is pruned, and a sweep that was killed goes on
where it was.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from rich.console import Console

from flows.methods import METHODS
from flows.steps.settings import apply_settings
from flows.sweep import Swept, sweep, trial_table
from flows.terminal.results import show_sweep
from tasks import store, tracking
from tasks.algorithms.verdicts.grids import judge_trial, pruned_trial
from tasks.execution import isolation
from tasks.settings.evaluation import MethodConfig
from tests.stand_ins.command import called, lethe, start
from tests.stand_ins.tiny import SETTINGS, TinyTask
from tests.stand_ins.waiting import wait_for

SHORT = [setting for setting in SETTINGS if setting.split(".")[0] in ("anchors", "probing", "relearning")]
BRIEF = ["rows.tokens=32", "training.epochs=1", "training.least_steps=4", "training.validate_every=2"]
GENTLE, RUINOUS = "1e-5", "3"
"""Learning rates: after two steps everything is kept, or next to nothing."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("sweep") / "lethe"
    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_settings({PREFECT_LOCAL_STORAGE_PATH: str(folder / "results")}),
    ):
        patch.setenv("LETHE_HOME", str(folder))
        patch.setattr(store, "_checked", set())
        yield folder
    isolation.begin()


def config(*settings: str) -> MethodConfig:
    return apply_settings(METHODS["npo"].preset("default", 0), [*SHORT, *BRIEF, *settings])


def swept_over(task: TinyTask, *rates: str, floor: float = 0.85) -> Swept:
    return sweep(task.request(), config(), method="npo", grid={"training.learning_rate": rates}, floor=floor)


def tried_in(swept: Swept) -> set[str]:
    """Names of the tracked runs of trials that a sweep began."""
    api = tracking.client()
    experiment = api.get_experiment_by_name(tracking.EXPERIMENT).experiment_id
    found = api.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{swept.mlflow_run}'")
    return {run.info.run_name for run in found if run.info.run_name[-1].isdigit()}


@pytest.fixture(scope="module")
def swept(home: Path, tiny_task: TinyTask) -> Swept:
    """A sweep of which the first trial is pruned."""
    return swept_over(tiny_task, RUINOUS, GENTLE)


def test_a_trial_below_the_floor_stops_training_and_is_marked(swept: Swept, home: Path) -> None:
    ruined, kept = swept.trials
    assert (ruined.pruned, ruined.acceptable, ruined.forget, ruined.distance) == (True, False, None, None)
    assert 0 <= ruined.retain_ratio < 0.85
    assert ruined.steps_saved > 0
    assert (kept.pruned, kept.steps_saved, swept.best) == (False, 0, kept)
    assert tried_in(swept) == {"trial 1", "trial 2"}
    metrics = tracking.client().get_run(swept.mlflow_run).data.metrics
    assert (metrics["sweep/pruned"], metrics["sweep/steps_saved"]) == (1, ruined.steps_saved)
    assert not list((home / "forget" / "work").glob("unlearn-*")), "nothing is left of the training that was given up"
    api = tracking.client()
    assert not api.search_runs(
        [api.get_experiment_by_name(tracking.EXPERIMENT).experiment_id], "attributes.status = 'RUNNING'"
    )


def test_a_sweep_called_again_tries_nothing_again(swept: Swept, tiny_task: TinyTask) -> None:
    again = swept_over(tiny_task, RUINOUS, GENTLE)
    assert (again.trials, again.best, tried_in(again)) == (swept.trials, swept.best, set())


@pytest.mark.slow
def test_without_a_floor_what_was_given_up_is_trained_and_the_others_are_what_they_were(
    swept: Swept, tiny_task: TinyTask
) -> None:
    whole = swept_over(tiny_task, RUINOUS, GENTLE, floor=0.0)
    assert not any(trial.pruned for trial in whole.trials), "training that was given up left no result behind"
    (_, kept), (_, other) = swept.trials, whole.trials
    assert (kept.forget, kept.retain_ratio) == (other.forget, other.retain_ratio)


def test_a_pruned_trial_comes_last_and_its_saved_steps_are_told(tmp_path: Path) -> None:
    trials = (
        pruned_trial(("b=1",), 0.7, 60),
        judge_trial(("b=2",), 0.3, 0.5, 0.8, 0.1, 0.85),
        judge_trial(("b=3",), 0.2, 0.8, 0.8, 0.1, 0.85),
    )
    assert list(trial_table(trials).settings) == ["b=3", "b=2", "b=1"]
    swept = Swept(
        trials=trials, best=trials[2], wanted=0.1, target_forget=0.9, mlflow_run="m", flow_run="f", flow_run_name="n"
    )
    console = Console(record=True, width=160)
    value = show_sweep(console, swept, {}, str(tmp_path))
    printed = console.export_text()
    assert "pruned, 60 steps saved" in printed
    assert "1 of 3 trials were pruned: 60 steps saved" in printed
    assert (tmp_path / "sweep.csv").read_text().splitlines()[-1] == "b=1,,0.7,,False,True,60"
    assert value["steps_saved"] == 60
    assert [(trial["pruned"], trial["forget"]) for trial in json.loads(json.dumps(value))["trials"]] == [
        (True, None),
        (False, 0.3),
        (False, 0.2),
    ]


def test_where_all_are_pruned_the_one_that_kept_most_is_told(tmp_path: Path) -> None:
    trials = (pruned_trial(("b=1",), 0.7, 60), pruned_trial(("b=2",), 0.8, 40))
    swept = Swept(
        trials=trials, best=trials[1], wanted=0.1, target_forget=0.9, mlflow_run="m", flow_run="f", flow_run_name="n"
    )
    console = Console(record=True, width=160)
    show_sweep(console, swept, {}, None)
    assert "Best: --set b=2\nNo setting keeps enough" in console.export_text()


@pytest.mark.parametrize(
    ("words", "line"),
    [(("--sampler", "tpe"), "--sampler tpe without --budget"), (("--sampler", "best"), "--sampler best: unknown")],
)
def test_a_sampler_that_cannot_be_is_one_line_and_exit_status_2(
    words: tuple[str, ...], line: str, tiny_task: TinyTask, tmp_path: Path
) -> None:
    ended = called(
        "sweep",
        *tiny_task.words()[1:6],
        "--method",
        "npo",
        "--grid",
        "objective.b=1,2",
        *words,
        home=tmp_path / "lethe",
    )
    assert (ended.returncode, line in ended.stderr) == (2, True), ended.stderr


@pytest.mark.slow
def test_a_sweep_that_is_killed_goes_on_and_ends_as_one_that_never_was(tiny_task: TinyTask, tmp_path: Path) -> None:
    settings = [word for setting in (*SHORT, *BRIEF, "training.least_steps=40") for word in ("--set", setting)]
    task = (
        "--retain",
        tiny_task.retain,
        "--model",
        tiny_task.model,
        "--method",
        "npo",
        "--floor",
        "0.5",
        "--grid",
        "objective.b=0.1,0.2,0.4,0.8",
    )
    words, killed = (
        (
            "sweep",
            tiny_task.forget,
            *task,
            *settings,
            "--sampler",
            "tpe",
            "--budget",
            "3",
        ),
        tmp_path / "killed" / "lethe",
    )
    with start(*words, home=killed) as process:
        try:
            wait_for(
                lambda: process.poll() is not None or under_way(killed),
                "training after a trial that ended",
                1800,
                every_s=0.02,
            )
            assert process.poll() is None
        finally:
            process.kill()  # SIGKILL
    ended = [number for number, state in enumerate(states(killed), 1) if state == "COMPLETE"]
    results = {}
    for name in ("killed", "alone"):
        last = lethe(*words, "--json", tmp_path / f"{name}.json", home=tmp_path / name / "lethe")
        assert last.returncode == 0, last.stderr
        results[name] = json.loads((tmp_path / f"{name}.json").read_text())
    assert results["killed"]["trials"] == results["alone"]["trials"]
    assert set(states(killed)) == {"COMPLETE"}
    with contextlib.closing(sqlite3.connect(killed / "mlflow.db")) as database:
        begun = [name for (name,) in database.execute("select name from runs where name like 'trial _'")]
    assert [begun.count(f"trial {number}") for number in ended] == [1] * len(ended)
    assert begun.count(f"trial {len(ended) + 1}") == 2, "the one that was under way is taken up again"


def under_way(home: Path) -> bool:
    """Whether a trial has ended and another one is in training."""
    return {"COMPLETE", "RUNNING"} <= set(states(home)) and any((home / "forget" / "work").glob("unlearn-*"))


def states(home: Path) -> list[str]:
    """How far the trials of the one study are, in their order."""
    for file in home.glob("studies/*.db"):
        with (
            contextlib.suppress(sqlite3.OperationalError),
            contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database,
        ):
            return [state for (state,) in database.execute("select state from trials order by number")]
    return []
