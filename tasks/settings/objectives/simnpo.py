"""Settings of negative preference optimisation without a reference model; the loss is
`tasks.algorithms.objectives.simnpo`.
"""

from typing import ClassVar

from tasks.settings.objectives.retain_term import RetainTermConfig, check_number
from tasks.settings.schema import settings


@settings
class SimNPOConfig(RetainTermConfig):
    """Constants of SimNPO."""

    paper: ClassVar[str] = "arXiv:2410.07163"

    b: float = 4.5
    """Inverse temperature, dimensionless, > 0."""
    delta: float = 0.0
    """Loss that counts as half forgotten, in nats a token, any sign; higher pushes further."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("b", self.b, self.b > 0, "a number > 0")
        check_number("delta", self.delta, True, "a finite number")
