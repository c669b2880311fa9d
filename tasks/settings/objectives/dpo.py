"""Settings of direct preference optimisation, also under its name `idk`; the loss is
`tasks.algorithms.objectives.dpo`.
"""

from typing import ClassVar

from tasks.settings.objectives.retain_term import RetainTermConfig, check_number
from tasks.settings.schema import settings


@settings
class DPOConfig(RetainTermConfig):
    """Constants of DPO."""

    paper: ClassVar[str] = "arXiv:2305.18290"

    b: float = 0.1
    """Inverse temperature, dimensionless, > 0: how far the student may leave the target model."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("b", self.b, self.b > 0, "a number > 0")

    @property
    def needs(self) -> frozenset[str]:
        """Preferred answers, the target's log-probabilities of both, and what the retain term needs."""
        return frozenset({"preferred", "reference_logprobs"}) | super().needs
