"""Imitate teachers' predictions, token by token, and the text itself beside them.

    loss = mean_tokens KL((1 - share) p_teacher + share [next token] || p_student)

Source: Lee et al. 2025, arXiv:2506.06278 (forward KL, temperature 1, share 0), and for the share of the text Hinton,
Vinyals and Dean 2015, arXiv:1503.02531: its gradient is that of the weighted mean of both cross-entropies. Deviation:
each text may have a teacher of its own; the source work has one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tasks.algorithms.models.heads import apply_head, last_hidden, output_head
from tasks.algorithms.objectives.protocol import Objective
from tasks.algorithms.objectives.terms import kl_rows, mean, over_chunks
from tasks.algorithms.shapes import Float, Int


@dataclass(frozen=True, kw_only=True)
class DistillationLossConfig:
    """Nothing to set: what a teacher says comes with it."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a teacher says of the positions that are its own."""

    head: nn.Module
    """The teacher's output head, frozen."""
    hidden: Float[Tensor, "positions hidden"]
    """Its last hidden states."""
    text_share: float = 0.0
    """How much the token that does follow counts beside it, 0 to 1."""


class Distillation(Objective):
    """The divergence from teachers whose last hidden states are cached."""

    config_type = DistillationLossConfig
    needs: frozenset[str] = frozenset()

    def loss(
        self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean of KL(wanted || p_student) over supervised positions, in nats.

        Args:
            student: The model that is trained.
            batch: `ids`, `mask`, `supervised`, (batch, seq).
            cached: `teachers`, each as a `Said` of the supervised positions in row-major order, the first teacher's
                first. At the last position of a row no token follows, and the teacher alone counts.
        """
        counted = batch["supervised"].bool()
        rows = last_hidden(student, batch["ids"], batch["mask"])[counted]
        lengths = [len(said.hidden) for said in cached["teachers"]]
        columns = (rows, *(_following(batch[name])[counted] for name in ("ids", "mask")))
        parts = zip(cached["teachers"], *(column.split(lengths) for column in columns), strict=True)
        return mean(torch.cat([_kl_to_said(output_head(student), *part) for part in parts])), {}


def _following(values: Int[Tensor, "batch seq"]) -> Int[Tensor, "batch seq"]:
    """Return what stands at the next position of each row; nothing at the last."""
    return torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], dim=1)


def _kl_to_said(
    head: nn.Module,
    said: Said,
    hidden: Float[Tensor, "rows hidden"],
    following: Int[Tensor, " rows"],
    follows: Int[Tensor, " rows"],
) -> Float[Tensor, " rows"]:
    """Return KL(wanted || student) of each row; `follows` says whether there is a `following` token."""

    def divergence(rows: Tensor, frozen: Tensor, tokens: Tensor, share: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = apply_head(said.head, frozen).softmax(-1) * (1.0 - share)
            wanted.scatter_add_(1, tokens, share)
        return kl_rows(wanted.log(), apply_head(head, rows).log_softmax(-1))

    share = said.text_share * follows.to(torch.float32)
    return over_chunks(divergence, head, hidden, said.hidden, following[:, None], share[:, None])
