"""What settings of objectives share: the retain term, and the check of a number."""

import math
from typing import Literal, get_args

from tasks.settings.objectives.protocol import ObjectiveSettings
from tasks.settings.schema import check_choices, settings

RetainLoss = Literal["ce", "kl"]
RETAIN_LOSSES: tuple[RetainLoss, ...] = get_args(RetainLoss)
"""How a student is held to the retain text: cross-entropy of its tokens, or KL(target || student)."""


def check_number(name: str, value: float, holds: bool, wanted: str) -> None:
    """Refuse a setting that is not finite or of which `holds` is false.

    Raises:
        ValueError: With its name, its value and what was wanted.
    """
    if not (holds and math.isfinite(value)):
        raise ValueError(f"{name} is {value}; wanted {wanted}")


@settings
class RetainTermConfig(ObjectiveSettings):
    """Settings of every objective that has a retain term."""

    retain_weight: float = 1.0
    """Weight of the retain term, dimensionless, >= 0; 0 leaves it out, and without retain text it has no effect."""
    retain_loss: RetainLoss = "ce"
    """`ce`: cross-entropy of the retain text; `kl`: KL(target || student) on it; both the mean over its tokens, in
    nats."""

    def __post_init__(self) -> None:
        check_number("retain_weight", self.retain_weight, self.retain_weight >= 0, "a number >= 0")
        check_choices(self)

    @property
    def needs(self) -> frozenset[str]:
        """Nothing, the retain text, or the frozen model's states on it too."""
        if not self.retain_weight:
            return frozenset()
        return frozenset({"retain", "reference_hidden"} if self.retain_loss == "kl" else {"retain"})
