"""A grid of settings, a budget for it, and which of its points is the best one."""

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from tasks.settings.evaluation import MethodConfig

SAMPLERS = ("grid", "tpe")
"""Who chooses which points of a grid are tried: all of them or a random draw, before any is; or, one after the other,
from what the earlier ones gave."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One point of a grid, trained and scored; or pruned: given up in training, so that there is nothing to score."""

    settings: tuple[str, ...]
    """`key=value`, as on the command line."""
    forget: float | None
    """Probability of what is to be forgotten, 0 to 1; none of a pruned trial."""
    retain_ratio: float
    """Probability of what is to be kept, as a share of the target model's; of a pruned trial, that of the slice which
    its last validation looked at."""
    distance: float | None
    """|forget - wanted|; none of a pruned trial."""
    acceptable: bool
    """Whether the utility floor holds."""
    pruned: bool = False
    """Whether training stopped since a validation found less than the floor."""
    steps_saved: int = 0
    """Optimiser steps that a pruned trial did not take, of those that there were to be at most."""


def read_grid(words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Read `key=one,two,three` words.

    Raises:
        ValueError: If a word has no values, or a key comes twice.
    """
    grid: dict[str, tuple[str, ...]] = {}
    for word in words:
        key, _, values = word.partition("=")
        found = tuple(value.strip() for value in values.split(",") if value.strip())
        if not key.strip() or not found:
            raise ValueError(f"--grid {word}: no values; wanted key=one,two such as training.epochs=2,5")
        if key.strip() in grid:
            raise ValueError(f"--grid {key.strip()} comes twice; wanted every key once, with all its values")
        grid[key.strip()] = found
    return grid


def check_grid(grid: Mapping[str, Sequence[str]], config: Any) -> None:
    """Refuse settings that trials cannot differ in: all are read, asked and scored alike.

    Raises:
        ValueError: If the grid has a setting that is not the method's own.
    """
    alike = {shared.name for shared in fields(MethodConfig)} | {"method"}
    # every method has a distillation, and it changes the model
    own = [*(field.name for field in fields(config) if field.name not in alike), "distillation"]
    for key in grid:
        if key.partition(".")[0] not in own:
            raise ValueError(
                f"--grid {key}: every trial is read, asked and scored alike, so it would change nothing; wanted"
                f" settings of {', '.join(own)}"
            )


def grid_points(grid: Mapping[str, Sequence[str]], budget: int, seed: int) -> list[tuple[str, ...]]:
    """Return the points of a grid in order; where there are more than `budget` (0: no limit), as many drawn
    at random.
    """
    points = [
        tuple(f"{key}={value}" for key, value in zip(grid, values, strict=True))
        for values in itertools.product(*grid.values())
    ]
    if not budget or len(points) <= budget:
        return points
    return [points[index] for index in sorted(random.Random(seed).sample(range(len(points)), budget))]


def check_sampler(sampler: str, budget: int) -> None:
    """Refuse a sampler that is none, and one that learns without a number of trials to learn in.

    Raises:
        ValueError: With what was wanted.
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"--sampler {sampler}: unknown; wanted one of {', '.join(SAMPLERS)}")
    if sampler == "tpe" and not budget:
        raise ValueError("--sampler tpe without --budget; wanted --budget N, the number of trials")


def judge_trial(
    settings: tuple[str, ...], forget: float, retain: float, target_retain: float, wanted: float, floor: float
) -> Trial:
    """Return a trial with its distance to what is wanted and whether it keeps enough.

    Args:
        settings: The point.
        forget: Probability of what is to be forgotten, 0 to 1.
        retain: Probability of what is to be kept, 0 to 1.
        target_retain: The same of the target model, > 0.
        wanted: Probability that a model without the knowledge has.
        floor: Least share of the target model's retain probability, 0 to 1.
    """
    ratio = retain / target_retain
    return Trial(
        settings=settings, forget=forget, retain_ratio=ratio, distance=abs(forget - wanted), acceptable=ratio >= floor
    )


def pruned_trial(settings: tuple[str, ...], retain_ratio: float, steps_saved: int) -> Trial:
    """Return a trial that was given up while it was trained, with the share that was kept then and the optimiser steps
    that were not taken.
    """
    return Trial(
        settings=settings,
        forget=None,
        retain_ratio=retain_ratio,
        distance=None,
        acceptable=False,
        pruned=True,
        steps_saved=steps_saved,
    )


def best_trial(trials: Sequence[Trial]) -> Trial:
    """Return the trial nearest to what is wanted among those that keep enough, of those whose distances are equal when
    rounded to 0.01 the one that keeps most; where none keeps enough, the one that keeps most, a pruned one only where
    all are.
    """
    kept = [trial for trial in trials if trial.acceptable]
    if kept:
        return min(kept, key=lambda trial: (round(trial.distance or 0.0, 2), -trial.retain_ratio))
    return max(trials, key=lambda trial: (not trial.pruned, trial.retain_ratio))
