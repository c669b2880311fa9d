"""The objectives that `--method` can name, one line each: to be listed is to be a method, and to be tested.

Whoever loads an objective does it by these names (`pkgutil.resolve_name`). No stage reaches this file: it is given the
name of the loss that it trains with, so that a new line changes no other objective's cache keys.
"""

from typing import Literal, NamedTuple


class Listed(NamedTuple):
    """Where an objective's two halves stand, as `module:Class`."""

    settings: str
    """See `tasks.settings.objectives.protocol`."""
    loss: str
    """See `tasks.algorithms.objectives.protocol`."""


OBJECTIVES = {
    "dpo": Listed("tasks.settings.objectives.dpo:DPOConfig", "tasks.algorithms.objectives.dpo:DPO"),
    "gradient_ascent": Listed(
        "tasks.settings.objectives.gradient_ascent:GradientAscentConfig",
        "tasks.algorithms.objectives.gradient_ascent:GradientAscent",
    ),
    "gradient_difference": Listed(
        "tasks.settings.objectives.gradient_difference:GradientDifferenceConfig",
        "tasks.algorithms.objectives.gradient_difference:GradientDifference",
    ),
    "idk": Listed("tasks.settings.objectives.dpo:DPOConfig", "tasks.algorithms.objectives.dpo:DPO"),
    "npo": Listed("tasks.settings.objectives.npo:NPOConfig", "tasks.algorithms.objectives.npo:NPO"),
    "rmu": Listed("tasks.settings.objectives.rmu:RMUConfig", "tasks.algorithms.objectives.rmu:RMU"),
    "simnpo": Listed("tasks.settings.objectives.simnpo:SimNPOConfig", "tasks.algorithms.objectives.simnpo:SimNPO"),
    "undial": Listed("tasks.settings.objectives.undial:UndialConfig", "tasks.algorithms.objectives.undial:Undial"),
}
ObjectiveName = Literal[*OBJECTIVES]


def listed(name: str) -> Listed:
    """Return where an objective stands.

    Raises:
        KeyError: If there is none of that name; the known ones are listed.
    """
    if name not in OBJECTIVES:
        raise KeyError(f"there is no objective {name!r}; wanted one of {', '.join(sorted(OBJECTIVES))}")
    return OBJECTIVES[name]
