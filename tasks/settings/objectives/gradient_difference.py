"""Settings of ascent on forget text beside descent on retain text; the loss is
`tasks.algorithms.objectives.gradient_difference`.
"""

from typing import ClassVar

from tasks.settings.objectives.retain_term import RetainTermConfig
from tasks.settings.schema import settings


@settings
class GradientDifferenceConfig(RetainTermConfig):
    """The retain term is all there is to set."""

    paper: ClassVar[str] = "arXiv:2203.12817"
    without_retain: ClassVar[str] = "gradient_ascent"
