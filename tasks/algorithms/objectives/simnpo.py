"""Negative preference optimisation without a reference model, its log-likelihood averaged over a row's length.

    loss = mean over rows of  -(2 / b) log sigmoid(b (NLL / len - delta))     (+ lambda * retain term)

with NLL the negative log-likelihood of a row's `len` counted tokens. It fades where a row has become unlikely by
itself, whatever the target model thought of it, and long rows weigh no more than short ones. Bounded below by 0.

Source: Fan et al. 2024, arXiv:2410.07163; b = 4.5, delta = 0. Deviation: the margin stands inside the bracket (the
paper's gamma is b * delta), so that delta is in nats a token.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from tasks.algorithms.objectives import terms
from tasks.algorithms.objectives.two_terms import Term, TwoTerms
from tasks.settings.objectives.simnpo import SimNPOConfig


class SimNPO(TwoTerms):
    """Push the mean log-probability of forget rows down until it is low."""

    config_type = SimNPOConfig
    weighs_rows = True

    def forget_term(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> Term:
        """Return the mean over forget rows, in nats, also as `forget_loss_nats`.

        Args:
            student: The model that is trained.
            batch: `ids`, `mask`, `supervised` of forget rows, (batch, seq).
            cached: Not used.
        """
        per_token = -terms.sequence_logprobs(student, batch) / terms.sequence_lengths(batch).clamp(min=1)
        forget = -2.0 / self.config.b * functional.logsigmoid(self.config.b * (per_token - self.config.delta)).mean()
        return forget, {"forget_loss_nats": forget.detach()}
