"""A sweep's study: today's draws in their order, proposals that learn and repeat nothing, and a process that is killed
in the middle of it.
"""

import signal
import sys
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from flows.steps.studies import Point, Study, opened
from tasks import store
from tasks.algorithms.verdicts.grids import Trial, best_trial, grid_points, judge_trial, pruned_trial
from tests.stand_ins.command import ROOT, environment
from tests.stand_ins.waiting import run_to_end

GRID = {"objective.b": ("0.1", "0.2", "0.4"), "training.epochs": ("2", "4", "8", "16"), "text": ("a=b",)}
FLOOR = 0.85


def figures(point: Point) -> Trial:
    """A trial that comes the nearer the larger b is, and that with 8 epochs keeps too little, with 16 is pruned."""
    b, epochs = (float(setting.partition("=")[2]) for setting in point[:2])
    if epochs == 16:
        return pruned_trial(point, 0.1 + b, 60)
    return judge_trial(point, 0.9 - b - epochs / 100, 0.5 if epochs == 8 else 0.8, 0.8, 0.1, FLOOR)


def tried_out(study: Study, most: int = 1000) -> list[Point]:
    """Try at most so many points, as a sweep does, and return them; the next one is begun and not ended."""
    tried: list[Point] = []
    while begun := study.ask():
        for point, trial in begun.items():
            if len(tried) == most:
                return tried
            tried.append(point)
            study.tell(trial, figures(point), FLOOR)
    return tried


def swept(
    sampler: str = "grid", budget: int = 0, *, name: str = "study", most: int = 1000
) -> tuple[list[Trial], list[Point]]:
    """Try at most so many points of a study under LETHE_HOME; return what has ended, and what was tried here."""
    with opened(name, GRID, sampler=sampler, budget=budget, seed=0) as study:
        tried = tried_out(study, most)
        return study.trials(), tried


def in_memory(grid: dict[str, tuple[str, ...]], sampler: str, budget: int, seed: int) -> Study:
    return Study(optuna.create_study(), grid, sampler=sampler, budget=budget, seed=seed)


@pytest.mark.parametrize(("budget", "seed"), [(0, 0), (5, 0), (5, 3), (12, 1), (100, 1)])
def test_the_grid_is_tried_in_todays_order_and_a_budget_draws_todays_points(budget: int, seed: int) -> None:
    study = in_memory(GRID, "grid", budget, seed)
    tried = tried_out(study)
    assert tried == grid_points(GRID, budget, seed)
    assert study.trials() == [figures(point) for point in tried]


def test_no_grid_is_one_trial_without_settings_and_a_value_that_comes_twice_is_tried_once() -> None:
    assert list(in_memory({}, "grid", 0, 0).ask()) == [()]
    assert list(in_memory({"a": ("1", "2", "1")}, "grid", 0, 0).ask()) == [("a=1",), ("a=2",)]


@pytest.mark.parametrize(("sampler", "budget"), [("grid", 0), ("tpe", 7)])
def test_what_has_ended_is_not_tried_again_and_what_was_begun_is(sampler: str, budget: int, lethe_home: Path) -> None:
    expected, _ = swept(sampler, budget, name="never interrupted")
    seen: list[Point] = []
    for most in (3, 1, 1000):
        ended, tried = swept(sampler, budget, most=most)
        seen += tried
    assert ended == expected
    assert seen == [trial.settings for trial in expected]
    assert swept(sampler, budget) == (expected, [])


@pytest.mark.parametrize("seed", range(3))
def test_tpe_follows_from_its_seed_and_never_repeats_a_point(seed: int) -> None:
    one, other = (tried_out(in_memory(GRID, "tpe", 9, seed)) for _ in range(2))
    assert one == other
    assert len(one) == len(set(one)) == 9
    assert set(one) <= set(grid_points(GRID, 0, 0))
    assert one != tried_out(in_memory(GRID, "tpe", 9, seed + 1))


def test_tpe_tries_all_points_where_the_budget_does_for_them() -> None:
    tried = tried_out(in_memory(GRID, "tpe", 100, 1))
    assert sorted(tried) == sorted(grid_points(GRID, 0, 0))


def test_tpe_goes_where_trials_are_near_and_keep_enough() -> None:
    wide = {
        "objective.b": tuple(f"0.{number}" for number in range(1, 9)),
        "training.epochs": ("1", "2", "4", "8", "16"),
        "text": ("a=b",),
    }
    every = [figures(point) for point in grid_points(wide, 0, 0)]
    assert sum(trial.acceptable for trial in every) / len(every) == 0.6
    late: list[Trial] = []
    for seed in range(4):
        study = in_memory(wide, "tpe", 20, seed)
        tried_out(study)
        assert best_trial(study.trials()) == best_trial(every), (
            "which half of all draws of 20 points among 40 would miss"
        )
        late += study.trials()[8:]
    assert sum(trial.acceptable for trial in late) / len(late) > 0.75


def test_a_study_is_a_private_database_that_holds_settings_and_figures(lethe_home: Path) -> None:
    swept()
    folder = store.home() / "studies"
    assert folder.stat().st_mode & 0o077 == 0
    study = optuna.load_study(study_name="study", storage=f"sqlite:///{folder / 'study.db'}")
    found = [trial.state for trial in study.trials]
    assert (found.count(TrialState.COMPLETE), found.count(TrialState.PRUNED)) == (9, 3)
    assert study.best_trial.params == {
        "objective.b": "0.4",
        "training.epochs": "4",
        "text": "a=b",
    }, "8 epochs come nearer and keep too little"
    assert {key for trial in study.trials for key in trial.user_attrs} == {"figures"}
    study._storage.remove_session()
    study._storage._backend.engine.dispose()


KILLED = """
import os, signal
import optuna
from tests.flows.steps import test_studies

whole, calls = {place}.{name}, []  # proposals are asked of a study too

def killed(*given, **named):
    calls.append(None)
    return os.kill(os.getpid(), signal.SIGKILL) if len(calls) == {call} else whole(*given, **named)

{place}.{name} = killed
test_studies.swept({sampler!r}, 4)
"""


@pytest.mark.parametrize(
    ("sampler", "place", "name", "call"),
    [
        ("grid", "optuna.Study", "enqueue_trial", 3),
        ("tpe", "optuna.Study", "ask", 4),
        ("grid", "optuna.Trial", "suggest_categorical", 5),
        ("tpe", "test_studies", "figures", 3),
        ("grid", "optuna.Study", "tell", 2),
    ],
)
def test_a_process_that_is_killed_at_any_point_costs_no_trial_that_has_ended(
    sampler: str, place: str, name: str, call: int, lethe_home: Path
) -> None:
    code = KILLED.format(place=place, name=name, call=call, sampler=sampler)
    killed = run_to_end([sys.executable, "-c", code], lethe_home, cwd=ROOT, env=environment(lethe_home))
    assert (killed.returncode, killed.stderr) == (-signal.SIGKILL, "")
    expected, _ = swept(sampler, 4, name="never interrupted")
    before, _ = swept(sampler, 4, most=0)
    assert before == expected[: len(before)]
    assert len(before) == (call - 1 if name in ("figures", "tell") else 1 if sampler == "tpe" else 0)
    assert swept(sampler, 4) == (expected, [trial.settings for trial in expected[len(before) :]])
