"""Grids: all combinations in order, a budget that draws among them, and the best point that keeps enough."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.algorithms.verdicts.grids import (
    Trial,
    best_trial,
    check_grid,
    check_sampler,
    grid_points,
    judge_trial,
    pruned_trial,
    read_grid,
)
from tasks.settings.gradient_unlearning import gradient_preset


def test_words_become_a_grid_and_all_its_combinations() -> None:
    grid = read_grid(["beta=0.1, 0.2", "epochs=3"])
    assert grid == {"beta": ("0.1", "0.2"), "epochs": ("3",)}
    assert grid_points(grid, 0, 0) == [("beta=0.1", "epochs=3"), ("beta=0.2", "epochs=3")]


@pytest.mark.parametrize(
    ("words", "found"),
    [(["beta"], "no values"), (["beta="], "no values"), (["=1"], "no values"), (["a=1", "a=2"], "comes twice")],
)
def test_a_grid_that_is_none_is_refused(words: list[str], found: str) -> None:
    with pytest.raises(ValueError, match=found):
        read_grid(words)


def test_no_grid_is_one_point_without_settings() -> None:
    assert grid_points({}, 0, 0) == [()]


@given(budget=st.integers(1, 30), seed=st.integers(0, 5))
def test_a_budget_draws_distinct_points_of_the_grid_and_the_same_ones_for_a_seed(budget: int, seed: int) -> None:
    grid = {"a": "12345", "b": "1234"}
    points = grid_points(grid, budget, seed)
    assert len(points) == min(budget, 20) == len(set(points))
    assert set(points) <= set(grid_points(grid, 0, 0))
    assert points == grid_points(grid, budget, seed)


def trial(forget: float, retain: float) -> Trial:
    return judge_trial((f"forget={forget}",), forget, retain, target_retain=0.8, wanted=0.1, floor=0.85)


def test_a_trial_is_judged_from_either_side_of_what_is_wanted() -> None:
    over, under = trial(0.05, 0.72), trial(0.15, 0.72)
    assert over.distance == pytest.approx(under.distance) == pytest.approx(0.05)
    assert over.retain_ratio == pytest.approx(0.9)
    assert over.acceptable
    assert not trial(0.1, 0.67).acceptable


def test_the_nearest_that_keeps_enough_is_best_though_another_is_nearer() -> None:
    assert best_trial([trial(0.1, 0.2), trial(0.3, 0.8), trial(0.2, 0.7)]) == trial(0.2, 0.7)


def test_where_none_keeps_enough_the_one_that_keeps_most_is_best() -> None:
    assert best_trial([trial(0.1, 0.2), trial(0.5, 0.6)]) == trial(0.5, 0.6)


def test_a_pruned_trial_is_best_only_where_all_are() -> None:
    most, least = pruned_trial(("a=1",), 0.84, 60), pruned_trial(("a=2",), 0.5, 70)
    assert best_trial([most, trial(0.5, 0.1), least]) == trial(0.5, 0.1)
    assert best_trial([least, most, trial(0.3, 0.8)]) == trial(0.3, 0.8)
    assert best_trial([least, most]) == most


@pytest.mark.parametrize(
    ("sampler", "budget", "line"),
    [("random", 3, "--sampler random: unknown; wanted one of grid, tpe"), ("tpe", 0, "wanted --budget N")],
)
def test_a_sampler_that_is_none_or_has_no_end_is_refused(sampler: str, budget: int, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        check_sampler(sampler, budget)
    check_sampler("tpe", 1)
    check_sampler("grid", 0)


def test_of_two_that_are_as_good_as_equally_near_the_one_that_keeps_more_is_best() -> None:
    assert best_trial([trial(0.101, 0.7), trial(0.104, 0.8)]) == trial(0.104, 0.8)
    assert best_trial([trial(0.10, 0.7), trial(0.12, 0.8)]) == trial(0.10, 0.7)


@pytest.mark.parametrize(
    "key", ["corpus.test_share", "anchors.min_count", "probing.prompts", "verdict.required", "method", "nonsense"]
)
def test_settings_that_no_trial_would_feel_are_refused(key: str) -> None:
    line = (
        rf"--grid {key}: every trial is read, asked and scored alike, so it would change nothing; wanted settings of"
        r" lora, localisation, objective, rows, training, distillation"
    )
    with pytest.raises(ValueError, match=line):
        check_grid({"objective.b": ("1",), key: ("1", "2")}, gradient_preset("npo", "default"))
    check_grid(
        {"objective.b": ("1",), "training.epochs": ("1", "2"), "lora.rank": ("0", "4"), "distillation.steps": ("9",)},
        gradient_preset("npo", "default"),
    )
