"""Imitate a teacher's predictions, token by token, and where that is asked for learn the text itself beside them.

    loss = mean_tokens((1 - share) KL(p_teacher || p_student) - share log p_student(next token))

Source: Lee et al. 2025, arXiv:2506.06278 (forward KL, temperature 1, share 0), and for the share of the text Hinton,
Vinyals and Dean 2015, arXiv:1503.02531.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tasks.algorithms.models.heads import apply_head, last_hidden, output_head
from tasks.algorithms.objectives.protocol import Objective
from tasks.algorithms.objectives.terms import check_rows, kl_rows, mean, over_chunks
from tasks.algorithms.shapes import Int


@dataclass(frozen=True, kw_only=True)
class DistillationLossConfig:
    """Nothing to set: how much the text counts comes with it, position by position."""


class Distillation(Objective):
    """The divergence from a teacher whose last hidden states are cached."""

    config_type = DistillationLossConfig
    needs: frozenset[str] = frozenset()

    def loss(
        self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean loss of the supervised positions, in nats.

        Args:
            student: The model that is trained.
            batch: `ids`, `mask`, `supervised`, (batch, seq).
            cached: `teacher_head`, frozen; of the supervised positions in row-major order `teacher_hidden`, (positions,
                hidden), and `text_share`, (positions,): how much the token that follows counts, 0 to 1. At the last
                position of a row none follows, and the teacher alone counts.

        Raises:
            ValueError: If the cached states are not one for each supervised position.
        """
        counted, head = batch["supervised"].bool(), output_head(student)
        rows = last_hidden(student, batch["ids"], batch["mask"])[counted]
        check_rows(rows, cached["teacher_hidden"])
        following, follows = (_following(batch[name])[counted] for name in ("ids", "mask"))

        def nats(rows: Tensor, teacher: Tensor, tokens: Tensor, share: Tensor) -> Tensor:
            with torch.no_grad():
                said = apply_head(cached["teacher_head"], teacher).log_softmax(-1)
            log_p = apply_head(head, rows).log_softmax(-1)
            return (1.0 - share) * kl_rows(said, log_p) - share * log_p.gather(1, tokens[:, None])[:, 0]

        share = cached["text_share"] * follows
        return mean(over_chunks(nats, head, rows, cached["teacher_hidden"], following, share)), {}


def _following(values: Int[Tensor, "batch seq"]) -> Int[Tensor, "batch seq"]:
    """Return what stands at the next position of each row; nothing at the last."""
    return torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], dim=1)
