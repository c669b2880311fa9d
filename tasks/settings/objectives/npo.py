"""Settings of negative preference optimisation; the loss is `tasks.algorithms.objectives.npo`."""

from typing import ClassVar

from tasks.settings.objectives.retain_term import RetainTermConfig, check_number
from tasks.settings.schema import settings


@settings
class NPOConfig(RetainTermConfig):
    """Constants of NPO."""

    paper: ClassVar[str] = "arXiv:2404.05868"

    b: float = 0.1
    """Inverse temperature, dimensionless, > 0; small values come near to gradient ascent."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("b", self.b, self.b > 0, "a number > 0")

    @property
    def needs(self) -> frozenset[str]:
        """The target's log-probabilities, and what the retain term needs."""
        return frozenset({"reference_logprobs"}) | super().needs
