"""Training objectives, one file each.

An objective is made from its config, names what it `needs` beside the student (a subset of `reference_logprobs`,
`reference_hidden`, `forget_hidden`, `labels`, `preferred`, `retain`), and turns a batch into a scalar:
`loss(student, batch, cached) -> (scalar in nats, metrics)`.
"""

from tasks.algorithms.objectives.causal_lm import CausalLM
from tasks.algorithms.objectives.generic_labels import GenericLabelLoss
from tasks.algorithms.objectives.scrub import Scrub

OBJECTIVES = {
    "causal_lm": CausalLM,
    "generic_labels": GenericLabelLoss,
    "scrub": Scrub,
}
