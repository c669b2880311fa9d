"""Imitate teachers' predictions, token by token.

    loss = mean_tokens KL(p_teacher || p_student)

Source: Lee et al. 2025, arXiv:2506.06278 (forward KL, temperature 1). Deviation: each text may have a teacher of its
own; the source work has one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tasks.algorithms.models.heads import last_hidden, output_head
from tasks.algorithms.objectives.protocol import Objective
from tasks.algorithms.objectives.terms import kl_to_cached, mean


@dataclass(frozen=True, kw_only=True)
class DistillationLossConfig:
    """Nothing to set: the loss has no constants."""


class Distillation(Objective):
    """The divergence from teachers whose last hidden states are cached."""

    config_type = DistillationLossConfig
    needs: frozenset[str] = frozenset()

    def loss(
        self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean of KL(p_teacher || p_student) over supervised positions, in nats.

        Args:
            student: The model that is trained.
            batch: `ids`, `mask`, `supervised`, (batch, seq).
            cached: `teachers`, a frozen head each with its states (positions, hidden): of the supervised positions in
                row-major order, the first teacher's first.
        """
        rows = last_hidden(student, batch["ids"], batch["mask"])[batch["supervised"].bool()]
        parts = rows.split([len(hidden) for _, hidden in cached["teachers"]])
        nats = [
            kl_to_cached(output_head(student), part, head, hidden)
            for part, (head, hidden) in zip(parts, cached["teachers"], strict=True)
        ]
        return mean(torch.cat(nats)), {}
