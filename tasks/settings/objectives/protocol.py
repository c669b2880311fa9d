"""What flows ask of an objective's settings: facts of the objective that are known before torch is loaded.

The other half, what a training stage asks of the loss made from these settings, is
`tasks.algorithms.objectives.protocol`.
"""

from abc import abstractmethod
from typing import ClassVar, Protocol

NEEDS = {
    "retain": "Retain rows beside the forget rows of a batch.",
    "preferred": "To every forget question a row with another answer, which is preferred.",
    "reference_logprobs": (
        "The frozen model's log-probability of each forget row and, where there are any, of each preferred row."
    ),
    "reference_hidden": "Its last hidden states at the counted positions of the retain rows, and its output head.",
    "forget_hidden": "The same of the forget rows.",
    "retain_layer_hidden": "Its hidden states after one layer of all positions of the retain rows.",
    "labels": (
        "Generic labels and the states that they are made of; a loss that needs them is trained by a stage of its own."
    ),
}
"""What a loss can need beside the student and the forget rows -> what that is."""


class ObjectiveSettings(Protocol):
    """Settings of one objective: a frozen dataclass whose fields all have defaults.

    An objective subclasses this: of what it does not say, the value given here holds.
    """

    paper: ClassVar[str]
    """Where the loss is published, `arXiv:NUMBER`; card, report and the tracked run name it. There is no default: every
    objective has one."""
    without_retain: ClassVar[str] = ""
    """Method that is left of this one where there is no retain text, for the line that refuses such a request; empty:
    it can do without."""
    chooses_weights: ClassVar[bool] = False
    """Whether some matrices of the objective's own choice are trained, see `trainable` of the loss; an adapter then
    sits there and nowhere else."""
    layer: int | None = None
    """Layer, counted from 0, whose hidden states are cached where `retain_layer_hidden` is needed; none: by
    `default_layer` from the depth."""

    @property
    @abstractmethod
    def needs(self) -> frozenset[str]:
        """Names out of `NEEDS`: what the loss needs with these settings. What is not named is neither read, computed
        nor stored for it.
        """
