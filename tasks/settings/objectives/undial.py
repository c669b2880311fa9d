"""Settings of self-distillation with the true token made less likely; the loss is
`tasks.algorithms.objectives.undial`.
"""

from typing import ClassVar

from tasks.settings.objectives.retain_term import RetainTermConfig, check_number
from tasks.settings.schema import settings


@settings
class UndialConfig(RetainTermConfig):
    """Constants of UNDIAL."""

    paper: ClassVar[str] = "arXiv:2402.10052"

    retain_weight: float = 0.0
    """Weight of the retain term, dimensionless, >= 0; 0 leaves it out, and without retain text it has no effect."""
    b: float = 10.0
    """What the logit of the true token loses, in nats, >= 0; at 0 the student is told to stay as it was."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("b", self.b, self.b >= 0, "a number >= 0")

    @property
    def needs(self) -> frozenset[str]:
        """The target's hidden states on the forget rows, and what the retain term needs."""
        return frozenset({"forget_hidden"}) | super().needs
