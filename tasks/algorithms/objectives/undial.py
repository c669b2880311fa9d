"""Self-distillation from the target model's own predictions with the true token made less likely.

    loss = mean over counted tokens of  CE(softmax(z_target - b onehot(y)), softmax(z_student))     (+ lambda * retain
    term)

with y the true token and z logits. The aim is fixed, so the loss has a floor, the entropy of the adjusted prediction,
and training comes to rest. Prompt and padding are left alone.

Source: Dong et al. 2024, UNDIAL, arXiv:2402.10052. b = 10 is the value of open-unlearning's configuration; there is no
retain term by default, as there. Deviation: the target's logits are its head applied to cached hidden states.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tasks.algorithms.models.heads import apply_head, output_head
from tasks.algorithms.objectives import terms
from tasks.algorithms.objectives.two_terms import Term, TwoTerms
from tasks.settings.objectives.undial import UndialConfig


class Undial(TwoTerms):
    """Distil the target model into itself, less sure of what it memorised."""

    config_type = UndialConfig

    def forget_term(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> Term:
        """Return the mean over counted tokens, in nats, also as `forget_loss_nats`.

        Args:
            student: The model that is trained.
            batch: `ids`, `mask`, `supervised` of forget rows, (batch, seq).
            cached: `forget_hidden` (counted forget positions in row-major order, hidden), the frozen `reference_head`.
        """
        hidden, tokens = terms.counted_rows(student, batch)
        terms.check_rows(hidden, cached["forget_hidden"])
        head, frozen_head = output_head(student), cached["reference_head"]

        def distil(rows: Tensor, frozen: Tensor, true: Tensor) -> Tensor:
            with torch.no_grad():
                aim = apply_head(frozen_head, frozen)
                aim = aim.scatter_add(1, true[:, None], aim.new_full((len(true), 1), -self.config.b)).softmax(-1)
            return -(aim * apply_head(head, rows).log_softmax(-1)).sum(-1)

        forget = terms.mean(terms.over_chunks(distil, head, hidden, cached["forget_hidden"], tokens))
        return forget, {"forget_loss_nats": forget.detach()}
