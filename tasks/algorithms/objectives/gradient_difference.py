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
from tasks.algorithms.objectives.protocol import Objective
from tasks.settings.objectives.gradient_difference import GradientDifferenceConfig


class GradientDifference(Objective):
    """Ascent on the forget text, descent on the retain text."""

    config_type = GradientDifferenceConfig

    def loss(
        self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum of both terms, in nats, and each alone.

        Args:
            student: The model that is trained.
            batch: `ids`, `mask`, `supervised` of forget rows and, with retain text, `retain_ids` and so on, (batch,
                seq).
            cached: For `kl`, `retain_hidden` and `reference_head`; see `terms.retain_term`.
        """
        return terms.with_retain_term(-terms.cross_entropy(student, batch), self.config, student, batch, cached)
