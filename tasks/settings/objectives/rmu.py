"""Settings of representation misdirection; the loss is `tasks.algorithms.objectives.rmu`."""

from typing import ClassVar

from tasks.settings.objectives.protocol import ObjectiveSettings
from tasks.settings.objectives.retain_term import check_number
from tasks.settings.schema import settings


@settings
class RMUConfig(ObjectiveSettings):
    """Constants of RMU."""

    paper: ClassVar[str] = "arXiv:2403.03218"
    chooses_weights: ClassVar[bool] = True

    layer: int | None = None
    """l, counted from 0; none: by the rule of `default_layer` from the model's depth."""
    c: float = 6.5
    """Length of the vector that forget text is sent to, in the unit of hidden states, > 0."""
    alpha: float = 1200.0
    """Weight of the retain term, dimensionless, >= 0; 0 leaves it out, and without retain text it has no effect."""
    trained_layers: tuple[int, ...] = ()
    """Layers whose MLP output matrices are trained, none above l; empty: l-2 to l, as many of them as there are."""
    seed: int = 0
    """Of the random vector."""

    def __post_init__(self) -> None:
        check_number("c", self.c, self.c > 0, "a number > 0")
        check_number("alpha", self.alpha, self.alpha >= 0, "a number >= 0")
        if self.layer is not None and self.layer < 0:
            raise ValueError(f"layer is {self.layer}; wanted a number >= 0, or none")
        if any(layer < 0 for layer in self.trained_layers):
            raise ValueError(f"trained_layers is {self.trained_layers}; wanted numbers >= 0")

    @property
    def needs(self) -> frozenset[str]:
        """Retain text and the target's states on it after layer l, unless alpha is 0."""
        return frozenset({"retain", "retain_layer_hidden"} if self.alpha else ())
