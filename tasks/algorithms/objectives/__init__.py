"""Training objectives, one file each.

An objective is made from its config (`config_type`), names what it `needs` beside the student (a subset of `reference_logprobs`,
`reference_hidden`, `forget_hidden`, `retain_layer_hidden`, `preferred`, `retain`, `labels`), and turns a batch into a scalar:
`loss(student, batch, cached) -> (scalar in nats, metrics)`. One whose loss is a mean over rows, not over tokens, says `weighs_rows`. To
name them loads nothing: `objective_class` imports the one that is asked for.
"""

from importlib import import_module
from typing import Any

OBJECTIVES = {
    "causal_lm": "tasks.algorithms.objectives.causal_lm:CausalLM",
    "dpo": "tasks.algorithms.objectives.dpo:DPO",
    "generic_labels": "tasks.algorithms.objectives.generic_labels:GenericLabelLoss",
    "gradient_ascent": "tasks.algorithms.objectives.gradient_ascent:GradientAscent",
    "gradient_difference": "tasks.algorithms.objectives.gradient_difference:GradientDifference",
    "idk": "tasks.algorithms.objectives.dpo:DPO",
    "npo": "tasks.algorithms.objectives.npo:NPO",
    "rmu": "tasks.algorithms.objectives.rmu:RMU",
    "scrub": "tasks.algorithms.objectives.scrub:Scrub",
    "simnpo": "tasks.algorithms.objectives.simnpo:SimNPO",
    "undial": "tasks.algorithms.objectives.undial:Undial",
}


def objective_class(name: str) -> type[Any]:
    """Load the class of an objective.

    Raises:
        KeyError: If there is none of that name; the known ones are listed.
    """
    if name not in OBJECTIVES:
        raise KeyError(f"there is no objective {name!r}; wanted one of {', '.join(sorted(OBJECTIVES))}")
    module, _, attribute = OBJECTIVES[name].partition(":")
    return getattr(import_module(module), attribute)
