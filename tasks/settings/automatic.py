"""Settings of the choice among methods: which are tried, how they are halved, and how much may be spent on it."""

import math
import re
import shlex
from dataclasses import dataclass, replace

from tasks.settings.evaluation import MethodConfig
from tasks.settings.schema import settings

CANDIDATES = (
    "rome",
    "whp",
    "npo",
    "npo training.sharpness=0.1",
    "simnpo",
    "undial",
    "scrub",
    "guardrail",
)
"""What is tried where nothing else is asked for: the cheap and promising first, and last what changes no weights."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What may be spent on trials; None: no limit."""

    minutes: float | None = None
    trials: int | None = None


def read_budget(words: str) -> Budget:
    """Read `45m`, minutes from the start, or `8`, trials; nothing is no limit.

    Raises:
        ValueError: If it is neither, or nothing could be done in it.
    """
    if not words:
        return Budget()
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(m?)", words.strip())
    number = float(found[1]) if found else 0.0
    if not found or not 0 < number < math.inf or (not found[2] and "." in found[1]):
        raise ValueError(f"budget is {words!r}; wanted minutes, such as 45m, or a number of trials >= 1, such as 8")
    return Budget(minutes=number) if found[2] else Budget(trials=int(number))


@settings
class AutomaticConfig(MethodConfig):
    """The choice of a method by trials; what is asked of every model stands beside it and holds for all of them."""

    candidates: tuple[str, ...] = CANDIDATES
    """What is tried, in this order: a method and, after it, settings of its own that are not its defaults, as in
    `npo training.sharpness=0.1`. What the request does not allow is left out."""
    guardrail: bool = False
    """Whether a guardrail may be chosen, which leaves all knowledge in the weights; it is tried last."""
    rungs: tuple[float, ...] = (0.25, 0.5)
    """Shares of a whole training, rising, above 0 and below 1: the first candidate is trained whole, of the others at
    each of these the better half goes on. Empty: all are trained whole, in order."""
    budget: str = ""
    """When no further trial is begun: after minutes from the start, such as 45m, or after a number of trials, such as
    8; shortened trainings count. A trial that runs is not cut, one is always made, and the judgement on the other half
    comes after it. Empty: when all have been tried."""
    seed: int = 0
    """Of which half each question and paragraph falls into, and of all candidates."""

    def __post_init__(self) -> None:
        read_budget(self.budget)
        if not self.candidates or any(not self._words(one) for one in self.candidates):
            raise ValueError(f"candidates is {list(self.candidates)}; wanted one or more, such as 'whp'")
        if list(self.rungs) != sorted({share for share in self.rungs if 0 < share < 1}):
            raise ValueError(f"rungs is {list(self.rungs)}; wanted numbers above 0 and below 1, rising")

    @staticmethod
    def _words(candidate: str) -> list[str]:
        try:
            return shlex.split(candidate)
        except ValueError as error:
            raise ValueError(f"candidates holds {candidate!r}: {error}; wanted a method and key=value") from None

    def named(self) -> list[tuple[str, list[str]]]:
        """Return of each candidate the method's name and its settings, `key=value`."""
        return [(words[0], words[1:]) for words in map(self._words, self.candidates)]


def automatic_preset(name: str, seed: int = 0) -> AutomaticConfig:
    """Return the preset with the given seed; there is one, since the choice has no paper.

    Raises:
        ValueError: If there is no such preset.
    """
    if name != "default":
        raise ValueError(f"preset is {name!r}; wanted default: candidates begin at the defaults of their methods")
    config = AutomaticConfig(seed=seed)
    return replace(config, translation=replace(config.translation, seed=seed))
