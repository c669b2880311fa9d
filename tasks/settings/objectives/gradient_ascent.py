"""Settings of gradient ascent; the loss is `tasks.algorithms.objectives.gradient_ascent`."""

from typing import ClassVar

from tasks.settings.objectives.protocol import ObjectiveSettings
from tasks.settings.schema import settings


@settings
class GradientAscentConfig(ObjectiveSettings):
    """Nothing to set: the loss has no constants."""

    paper: ClassVar[str] = "arXiv:2210.01504"

    @property
    def needs(self) -> frozenset[str]:
        """Nothing but the forget rows."""
        return frozenset()
