"""Settings of negative preference optimisation; the loss is `tasks.algorithms.objectives.npo`."""

from typing import ClassVar

from tasks.settings.objectives.retain_term import RetainTermConfig, check_number
from tasks.settings.schema import settings


@settings
class NPOConfig(RetainTermConfig):
    """Constants of NPO."""

    paper: ClassVar[str] = "arXiv:2404.05868"

    b: float = 0.1
    """Inverse temperature, dimensionless, > 0; small values come near to gradient ascent. Not read with `until`."""
    until: float | None = None
    """Probability of a token, above 0 and less than 1, at which a tenth of the push on it is left, so that every token
    is pushed as far as it needs and no farther, in long rows and short ones; none: whole rows by `b`, as in the paper.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("b", self.b, self.b > 0, "a number > 0")
        if self.until is not None:
            check_number("until", self.until, 0 < self.until < 1, "a number above 0 and less than 1, or none")

    @property
    def needs(self) -> frozenset[str]:
        """What the target model says of forget rows, and what the retain term needs."""
        own = {"reference_logprobs"} if self.until is None else {"forget_hidden"}
        return frozenset(own) | super().needs
