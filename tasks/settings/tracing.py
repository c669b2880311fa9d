"""Settings of causal tracing: where a model holds facts."""

import math

from tasks.settings.schema import settings


@settings
class TracingConfig:
    """Causal tracing: noise on the subject, and one state at a time put back."""

    noise: float = 3.0
    """Standard deviation of the noise on the subject's token embeddings, in those of the embeddings, >= 0."""
    draws: int = 10
    """Corrupted runs a fact, >= 1."""
    window: int | None = None
    """Layers whose MLP or attention outputs are put back together, >= 1; none: a fifth of the model's layers, as 10 of
    48."""
    facts: int = 60
    """Facts over which effects are averaged, >= 1."""
    seed: int = 0
    """Of the noise."""

    def __post_init__(self) -> None:
        if not 0 <= self.noise < math.inf:
            raise ValueError(f"tracing.noise is {self.noise}; wanted a number >= 0")
        for name in ("draws", "facts", "window"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"tracing.{name} is {value}; wanted a whole number >= 1")
