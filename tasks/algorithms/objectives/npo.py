"""Negative preference optimisation: the forget rows are answers that nobody prefers.

    loss = mean over rows of  -(2 / b) log sigmoid(-b r),   r = log p_student(F) - log p_target(F)     (+ lambda *
    retain term)

with log p the sum over a row's counted tokens. At r = 0 it is (2 / b) log 2; its gradient is that of ascent, damped by
2 sigmoid(b r): it fades as the student leaves the target behind, and tends to plain ascent as b -> 0. Bounded below by
0.

Source: Zhang, Lin, Bai & Mei 2024, arXiv:2404.05868, equation of NPO; b = 0.1. Deviation: none. The target model is one
cached number a row.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from tasks.algorithms.objectives import terms
from tasks.algorithms.objectives.two_terms import Term, TwoTerms
from tasks.settings.objectives.npo import NPOConfig


class NPO(TwoTerms):
    """Push the log-probability of forget rows below the target model's, ever more gently."""

    config_type = NPOConfig
    weighs_rows = True

    def forget_term(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> Term:
        """Return the mean over forget rows, in nats, also as `forget_loss_nats`.

        Args:
            student: The model that is trained.
            batch: `ids`, `mask`, `supervised` of forget rows, (batch, seq).
            cached: `reference_logprob`, (batch,): the target's sum over each forget row.
        """
        ratio = terms.sequence_logprobs(student, batch) - terms.cached_logprobs(
            cached, "reference_logprob", len(batch["ids"])
        )
        forget = -2.0 / self.config.b * functional.logsigmoid(-self.config.b * ratio).mean()
        return forget, {"forget_loss_nats": forget.detach()}
