"""Negative preference optimisation: the forget rows are answers that nobody prefers.

    loss = mean over rows of  -(2 / b) log sigmoid(-b r),   r = log p_student(F) - log p_target(F)     (+ lambda *
    retain term)

with log p the sum over a row's counted tokens. At r = 0 it is (2 / b) log 2; its gradient is that of ascent, damped by
2 sigmoid(b r): it fades as the student leaves the target behind, and tends to plain ascent as b -> 0. Bounded below by
0.

With `until` = q every token is pushed by itself, as far as it needs and no farther:

    loss = mean over rows of the mean over a row's counted tokens t of  -(2 / b_t) log sigmoid(-b_t r_t),
    r_t = log p_student(t) - log p_target(t),   b_t = log(19) / (log p_target(t) - log q)

(0 where p_target(t) <= q),

so that at the target the push on a token is 1, at a probability of q a tenth of it is left, 2 sigmoid(-log 19) = 0.1,
and a token that the target hardly expected is left alone. A row's sum says little of its tokens: at the papers' b so
little of the push is left log(19) / (0.1 n) nats a token below the target, 0.1 of 256 tokens and 0.7 of 40, so prose
hardly changed; and what is pushed as a sum falls where it falls most easily, so that a few tokens, mostly names, end
far below what a model says that never saw the row.

Source: Zhang, Lin, Bai & Mei 2024, arXiv:2404.05868, equation of NPO; b = 0.1. Deviation: none, unless `until` is set.
The target model is one cached number a row, with `until` its head applied to cached hidden states.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.algorithms.models.heads import output_head
from tasks.algorithms.objectives import terms
from tasks.algorithms.objectives.two_terms import Term, TwoTerms
from tasks.settings.objectives.npo import NPOConfig

FADED = math.log(19.0)
"""b times nats at which a tenth of the push is left."""
LEAST_DROP = 1e-3
"""Nats that a token is pushed at least: just above q there is hardly anything to push, and no b to divide by."""


class NPO(TwoTerms):
    """Push the log-probability of forget rows below the target model's, ever more gently."""

    config_type = NPOConfig
    weighs_rows = True

    def forget_term(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> Term:
        """Return the mean over forget rows, in nats, also as `forget_loss_nats`.

        Args:
            student: The model that is trained.
            batch: `ids`, `mask`, `supervised` of forget rows, (batch, seq).
            cached: `reference_logprob`, (batch,): the target's sum over each forget row; with `until` `forget_hidden`
                (counted forget positions in row-major order, hidden) and the frozen `reference_head`.
        """
        by = self._by_rows if self.config.until is None else self._by_tokens
        forget = terms.mean(by(student, batch, cached))
        return forget, {"forget_loss_nats": forget.detach()}

    def _by_rows(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> Tensor:
        target = terms.cached_logprobs(cached, "reference_logprob", len(batch["ids"]))
        return _push(terms.sequence_logprobs(student, batch) - target, self.config.b)

    def _by_tokens(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> Tensor:
        hidden, tokens = terms.counted_rows(student, batch)
        terms.check_rows(hidden, cached["forget_hidden"])
        with torch.no_grad():
            target = terms.token_logprobs(cached["reference_head"], cached["forget_hidden"], tokens)
        drop = target - math.log(self.config.until)
        ratio = terms.token_logprobs(output_head(student), hidden, tokens) - target
        pushes = torch.where(drop > 0, _push(ratio, FADED / drop.clamp(min=LEAST_DROP)), 0.0)
        return terms.row_sums(batch, pushes) / terms.sequence_lengths(batch).clamp(min=1)


def _push(ratio: Tensor, b: Tensor | float) -> Tensor:
    """Return -(2 / b) log sigmoid(-b r) of each r."""
    return -2.0 / b * functional.logsigmoid(-b * ratio)
