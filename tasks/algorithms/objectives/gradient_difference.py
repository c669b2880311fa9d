"""Unlearn the forget text by ascent while descending on the retain text.

    loss = -CE(F)  +  lambda * CE(R)                      (retain_loss ce)
    loss = -CE(F)  +  lambda * KL(p_target || p_student)  (retain_loss kl, on R)

CE and KL are means over counted tokens, in nats. The first term is unbounded below: it goes on after the text is
forgotten.

Source: Liu, Liu & Stone 2022, arXiv:2203.12817 (`ce`); with KL in Maini et al. 2024, TOFU, arXiv:2401.06121. Deviation:
none.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from tasks.algorithms.objectives import terms
from tasks.algorithms.objectives.two_terms import Term, TwoTerms
from tasks.settings.objectives.gradient_difference import GradientDifferenceConfig


class GradientDifference(TwoTerms):
    """Ascent on the forget text, descent on the retain text."""

    config_type = GradientDifferenceConfig

    def forget_term(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> Term:
        """Return the negative cross-entropy of the forget rows, in nats, also as `forget_loss_nats`.

        Args:
            student: The model that is trained.
            batch: `ids`, `mask`, `supervised` of forget rows, (batch, seq).
            cached: Not used.
        """
        forget = -terms.cross_entropy(student, batch)
        return forget, {"forget_loss_nats": forget.detach()}
