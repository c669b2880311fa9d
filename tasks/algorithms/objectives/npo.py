"""Negative preference optimisation: the forget rows are answers that nobody prefers.

    loss = mean over rows of  -(2 / b) log sigmoid(-b r),   r = log p_student(F) - log p_target(F)     (+ lambda *
    retain term)

with log p the sum over a row's counted tokens. At r = 0 it is (2 / b) log 2; its gradient is that of ascent, damped by
2 sigmoid(b r): it fades as the student leaves the target behind, and tends to plain ascent as b -> 0. Bounded below by
0.

With `until` = q the push fades by what a row's n tokens have left instead of by a b for all rows, and is that of one
token, however long the row is:

    m = r / n,   d = max(log p_target(F) / n - log q, 0.1),   b = log(19) / d,   -(2 / b) log sigmoid(-b m)

so that at a mean probability of q, d nats a token below the target, 2 sigmoid(b m) = 0.1 of the push is left. At the
papers' b so little is left log(19) / (0.1 n) nats a token below the target, 0.1 of 256 tokens and 0.7 of 40: prose
hardly changed, and a short answer was pushed many times as hard as its neighbours on the retain text hold.

Source: Zhang, Lin, Bai & Mei 2024, arXiv:2404.05868, equation of NPO; b = 0.1. Deviation: none, unless `until` is set.
The target model is one cached number a row.
"""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from tasks.algorithms.objectives import terms
from tasks.algorithms.objectives.two_terms import Term, TwoTerms
from tasks.settings.objectives.npo import NPOConfig

FADED = math.log(19.0)
"""b times nats at which a tenth of the push is left: 2 sigmoid(-log 19) = 0.1."""
LEAST_DROP = 0.1
"""Nats a token that a row is pushed at least, however improbable it was."""


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
        target = terms.cached_logprobs(cached, "reference_logprob", len(batch["ids"]))
        ratio, b = terms.sequence_logprobs(student, batch) - target, self.config.b
        if self.config.until is not None:
            lengths = terms.sequence_lengths(batch).clamp(min=1)
            ratio, b = ratio / lengths, FADED / (target / lengths - math.log(self.config.until)).clamp(min=LEAST_DROP)
        forget = (-2.0 / b * functional.logsigmoid(-b * ratio)).mean()
        return forget, {"forget_loss_nats": forget.detach()}
