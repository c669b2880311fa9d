"""Successive halving on Optuna: of what was trained to the same share, the better half goes on.

Optuna's pruner is the asynchronous form (Li et al. 2020, arXiv:1810.05934): each candidate is compared with those that
came as far before it, so that the first always goes on. Candidates come in the order of their promise, which is what
such a head start is for.
"""

FACTOR = 2
"""One of so many goes on."""


class Halving:
    """Which candidates go on. The study is kept in memory: all that is reported comes from cached stages, so that a
    choice that is made again comes to the same end.
    """

    def __init__(self) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=FACTOR)
        self._study = optuna.create_study(pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))
        self._begun: dict[str, optuna.Trial] = {}

    def goes_on(self, candidate: str, rung: int, shortfall: float) -> bool:
        """Note how a candidate stands and say whether it is trained further.

        Args:
            candidate: Its name; rungs of one candidate come in their order.
            rung: 0 for the shortest training.
            shortfall: Less is better.
        """
        if candidate not in self._begun:
            self._begun[candidate] = self._study.ask()
        trial = self._begun[candidate]
        trial.report(shortfall, FACTOR**rung)
        return not trial.should_prune()
