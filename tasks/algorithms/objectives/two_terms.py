"""Losses of two terms, which training can treat apart: one makes the student forget, the other holds what is to stay.

The loss is the forget term plus the weighted retain term.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from tasks.algorithms.objectives.protocol import Objective
from tasks.algorithms.objectives.terms import retain_term
from tasks.algorithms.shapes import Float

Term = tuple[Float[Tensor, ""], dict[str, Tensor]]
"""A scalar, and what else is worth a curve, detached scalars."""


class TwoTerms(Objective):
    """An objective whose loss is a forget term and, where a batch has retain rows, a retain term."""

    @abstractmethod
    def forget_term(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> Term:
        """Return what is minimised on the forget rows, as it stands in the loss; takes what `loss` takes."""

    def retain_term(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> Term | None:
        """Return what it costs the student to leave the retain rows, weighted as in the loss; none where the batch has
        no such rows or their weight is 0. This one is that of the settings of `RetainTermConfig`.
        """
        if "retain_ids" not in batch or not self.config.retain_weight:
            return None
        kind = self.config.retain_loss
        retain = retain_term(student, batch, cached, kind)
        return self.config.retain_weight * retain, {f"retain_{kind}_nats": retain.detach()}

    def loss(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> Term:
        """Return the sum of both terms, and each alone, unweighted.

        Args:
            student: The model that is trained.
            batch: `ids`, `mask`, `supervised` of forget rows and, with retain text, `retain_ids` and so on, (batch,
                seq); see `forget_term` for what else an objective reads.
            cached: What `forget_term` takes, and what `terms.retain_term` does.
        """
        forget, metrics = self.forget_term(student, batch, cached)
        held = self.retain_term(student, batch, cached)
        return (forget, metrics) if held is None else (forget + held[0], metrics | held[1])
