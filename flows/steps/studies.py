"""What a sweep remembers: an Optuna study in a file of its own under LETHE_HOME, from which a sweep that was killed
goes on.

A study holds settings and figures, never text. It is a database, not Optuna's journal of lines: what a killed process
was about to write is then wholly there or not at all, and its lock dies with it.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tasks import store
from tasks.algorithms.verdicts.grids import Trial, grid_points

if TYPE_CHECKING:
    import optuna

Point = tuple[str, ...]
"""`key=value` words, one for each key of a grid."""
FIGURES = "figures"
"""Attribute of a trial in a study: the fields of `Trial`."""
STARTUP = 4
"""Trials that are drawn at random before `tpe` learns from them: Optuna's own 10 are more than many a budget."""
PROPOSALS = 20
"""How often `tpe` may propose points that were tried before the next one is drawn at random."""


class Study:
    """The points of a grid that one request tries, and what became of them."""

    def __init__(
        self, study: "optuna.Study", grid: Mapping[str, Sequence[str]], *, sampler: str, budget: int, seed: int
    ) -> None:
        """Take a study, new or begun earlier: what it holds already is not tried again.

        Args:
            study: Of this grid and of no other.
            grid: Setting -> values.
            sampler: One of `SAMPLERS`.
            budget: Trials at most; 0: the whole grid.
            seed: Of what is drawn.
        """
        from optuna.distributions import CategoricalDistribution

        self._study, self._grid, self._seed, self._learns = study, grid, seed, sampler == "tpe"
        self._distributions = {
            key: CategoricalDistribution(tuple(dict.fromkeys(values))) for key, values in grid.items()
        }
        self._points = grid_points(grid, 0 if self._learns else budget, seed)
        self._most = min(budget or len(set(self._points)), len(set(self._points)))

    def ask(self) -> "dict[Point, optuna.Trial]":
        """Return what is to be tried now, none when all is done: with `grid` everything at once, with `tpe` one point,
        chosen by those before it.

        What an earlier process had begun and not ended comes first.
        """
        from optuna.trial import Trial as Begun
        from optuna.trial import TrialState

        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        begun = [Begun(self._study, trial._trial_id) for trial in running] or [
            self._study.ask() for _ in self._waiting()
        ]
        return {
            self._point(
                {key: trial.suggest_categorical(key, kind.choices) for key, kind in self._distributions.items()}
            ): trial
            for trial in begun
        }

    def tell(self, begun: "optuna.Trial", ended: Trial, floor: float) -> None:
        """Note what became of a point; `floor` is the least share of the target model's retain probability."""
        from optuna.trial import TrialState

        begun.set_user_attr(FIGURES, asdict(ended))
        # else a process was killed between this and the last line, and a constraint can be set once only
        if not begun.constraints:
            begun.set_constraint("floor", floor - ended.retain_ratio)
        self._study.tell(begun, ended.distance, TrialState.PRUNED if ended.pruned else TrialState.COMPLETE)

    def trials(self) -> list[Trial]:
        """Return what has ended, in the order in which it was begun."""
        return [
            Trial(**{**trial.user_attrs[FIGURES], "settings": self._point(trial.params)}) for trial in self._ended()
        ]

    def _ended(self) -> "list[optuna.trial.FrozenTrial]":
        return [trial for trial in self._study.get_trials(deepcopy=False) if trial.state.is_finished()]

    def _waiting(self) -> "list[optuna.trial.FrozenTrial]":
        """Line up what is next, and return all that is lined up."""
        from optuna.trial import TrialState

        ended = self._ended()
        coming = self._points if not self._learns else [self._propose(ended)] if len(ended) < self._most else []
        for point in coming:
            self._study.enqueue_trial(self._params(point), skip_if_exists=True)
        return self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))

    def _propose(self, ended: "list[optuna.trial.FrozenTrial]") -> Point:
        """Return a point that was not tried, which follows from seed and earlier trials alone: a study that goes on
        proposes what it would have.
        """
        import optuna

        tried, seed = {self._point(trial.params) for trial in ended}, self._seed * 1_000_003 + len(ended)
        drawn = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed % 2**32, n_startup_trials=STARTUP))
        drawn.add_trials(ended)
        for _ in range(PROPOSALS):
            point = self._point(drawn.ask(dict(self._distributions)).params)
            if point not in tried:
                return point
        return random.Random(seed).choice([point for point in self._points if point not in tried])

    def _point(self, params: Mapping[str, Any]) -> Point:
        return tuple(f"{key}={params[key]}" for key in self._grid)

    def _params(self, point: Point) -> dict[str, str]:
        return {key: setting.removeprefix(f"{key}=") for key, setting in zip(self._grid, point, strict=True)}


@contextmanager
def opened(name: str, grid: Mapping[str, Sequence[str]], *, sampler: str, budget: int, seed: int) -> Iterator[Study]:
    """Open the study of a request, which no other process has open meanwhile; the rest is as in `Study`.

    Args:
        name: Tells the request from all others.
        grid: Setting -> values.
        sampler: One of `SAMPLERS`.
        budget: Trials at most; 0: the whole grid.
        seed: Of what is drawn.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = store.home() / "studies"
    folder.mkdir(mode=0o700, exist_ok=True)
    with store.lock(name):
        storage = optuna.storages.RDBStorage(f"sqlite:///{folder / name}.db")
        try:
            unasked = optuna.samplers.RandomSampler()  # every point is lined up before it is begun
            study = optuna.create_study(storage=storage, sampler=unasked, study_name=name, load_if_exists=True)
            yield Study(study, grid, sampler=sampler, budget=budget, seed=seed)
        finally:
            storage.remove_session()
            storage.engine.dispose()
