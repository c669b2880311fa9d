"""Unlearn by climbing the loss of the forget text.

    loss = -CE(F), the mean log-likelihood of its counted tokens, in nats

Unbounded below: the model collapses if it goes on for long. The baseline that every other method has to beat.

Source: Jang et al. 2022, arXiv:2210.01504. Deviation: none.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from tasks.algorithms.objectives import terms
from tasks.algorithms.objectives.two_terms import Term, TwoTerms
from tasks.settings.objectives.gradient_ascent import GradientAscentConfig


class GradientAscent(TwoTerms):
    """Cross-entropy of the forget text, its sign changed."""

    config_type = GradientAscentConfig

    def forget_term(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> Term:
        """Return the negative cross-entropy of the forget rows, in nats, also as `forget_loss_nats`.

        Args:
            student: The model that is trained.
            batch: `ids`, `mask`, `supervised` of forget rows, (batch, seq).
            cached: Not used.
        """
        forget = -terms.cross_entropy(student, batch)
        return forget, {"forget_loss_nats": forget.detach()}

    def retain_term(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> None:
        """Return none: nothing is held."""
