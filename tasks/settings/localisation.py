"""Settings of localised training: which weights are trained at all."""

from typing import Literal

from tasks.settings.schema import check_choices, settings
from tasks.settings.tracing import TracingConfig

LocalisedBy = Literal["all", "trace", "random"]
"""All weights, the MLPs that a causal trace names for the topic's facts, or as many others."""


@settings
class LocalisationConfig:
    """Training restricted to the MLPs of a few layers (arXiv:2410.12949)."""

    by: LocalisedBy = "all"
    """`all` trains every weight; `trace` only the MLPs that a causal trace of the topic's facts names; `random`, the
    control, as many MLPs drawn from those that the trace does not name."""
    layers: int = 0
    """Layers whose MLPs are trained, at most the model's, half of them for `random`; 0: a third of them, one at
    least."""
    tracing: TracingConfig = TracingConfig()
    """Noise, and how many facts are traced."""
    seed: int = 0
    """Which of the text's facts are traced, and which layers are drawn."""

    def __post_init__(self) -> None:
        check_choices(self, "localisation")
        if self.layers < 0:
            raise ValueError(f"localisation.layers is {self.layers}; wanted a whole number >= 0")

    def count(self, depth: int) -> int:
        """Return how many MLPs are trained in a model of so many layers.

        Raises:
            ValueError: If the model does not have them, or, for `random`, as many again.
        """
        count = self.layers or max(1, round(depth / 3))
        most = depth // 2 if self.by == "random" else depth
        if count > most:
            others = ", and as many others to draw from" if self.by == "random" else ""
            raise ValueError(f"localisation.layers is {count} in a model of {depth} layers; wanted 1 to {most}{others}")
        return count
