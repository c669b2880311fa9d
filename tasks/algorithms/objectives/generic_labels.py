"""Fit generic labels on the forget text, and stay where the target model was on the retain text.

    loss = mean_rows KL(softmax(v_generic) || p_student)  +  lambda * mean_tokens KL(p_target || p_student)     (soft
    labels) loss = mean_rows -log p_student(argmax v_generic)     +  lambda * mean_tokens KL(p_target || p_student)
    (hard labels)

Source: Eldan & Russinovich 2023, arXiv:2310.02238 (hard labels, lambda = 0). Soft labels and the retain term are ours:
a hard label collapses every ordinary position onto its mode and pays for it with entropy everywhere.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tasks.algorithms.models.heads import apply_head, last_hidden, output_head
from tasks.algorithms.objectives.terms import kl_rows, kl_to_cached, mean, over_chunks, token_logprobs
from tasks.algorithms.objectives.two_terms import Term, TwoTerms
from tasks.algorithms.unlearning.labels import ban, generic_logits
from tasks.settings.finetuning import GenericLabelLossConfig


class GenericLabelLoss(TwoTerms):
    """The finetuning objective of selective unlearning."""

    config_type = GenericLabelLossConfig
    needs = frozenset({"labels", "reference_hidden", "retain"})

    def loss(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> Term:
        """Return the weighted sum of both terms, in nats, and each alone.

        Args:
            student: The model that is trained.
            batch: `ids`, `mask` (batch, seq) of forget blocks, `rows` (rows, 2): block in the batch and position of
                each label; and, with retain text, `retain_ids`, `retain_mask` and, where not every prediction counts,
                `retain_supervised`, (batch, seq).
            cached: `hard` (rows); for soft labels `baseline_hidden`, `reinforced_hidden` (rows, hidden), `banned`
                (pairs, 2), `topic` (tokens,) and the frozen `baseline_head`, `reinforced_head`; with retain text
                `retain_hidden` (supervised retain tokens, hidden).
        """
        return super().loss(student, batch, cached)

    def forget_term(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> Term:
        """Return the label loss, in nats, also as `label_loss_nats`."""
        forget = self.label_loss(student, batch, cached)
        return forget, {"label_loss_nats": forget.detach()}

    def retain_term(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> Term | None:
        """Return the weighted divergence from the target model on retain text, and it alone as `retain_kl_nats`."""
        if "retain_ids" not in batch or not self.config.retain_weight:
            return None
        retain = self.retain_kl(student, batch, cached)
        return self.config.retain_weight * retain, {"retain_kl_nats": retain.detach()}

    def retain_kl(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> Tensor:
        """Return the mean of KL(p_target || p_student) over supervised retain tokens, in nats; unweighted."""
        counted = batch.get("retain_supervised", batch["retain_mask"]).bool()
        rows = last_hidden(student, batch["retain_ids"], batch["retain_mask"])[counted]
        return mean(kl_to_cached(output_head(student), rows, cached["baseline_head"], cached["retain_hidden"]))

    def label_loss(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> Tensor:
        """Return the mean of the label loss over rows, in nats; 0 where there are none."""
        rows = last_hidden(student, batch["ids"], batch["mask"])[batch["rows"][:, 0], batch["rows"][:, 1]]
        if not len(rows):  # blocks without a single label ask for nothing
            return rows.sum()
        head = output_head(student)
        if self.config.kind == "hard":
            return -mean(token_logprobs(head, rows, cached["hard"]))
        numbers = torch.arange(len(rows), device=rows.device)
        return mean(
            over_chunks(
                self._divergence(head, cached),
                head,
                rows,
                cached["baseline_hidden"],
                cached["reinforced_hidden"],
                numbers,
            )
        )

    def _divergence(self, head: nn.Module, cached: Mapping[str, Any]) -> Callable[..., Tensor]:
        """Return the function of consecutive rows (states of three models, the rows' numbers) that gives KL(generic ||
        student) of each.
        """

        def divergence(rows: Tensor, baseline: Tensor, reinforced: Tensor, numbers: Tensor) -> Tensor:
            with torch.no_grad():
                logits = (
                    apply_head(cached["baseline_head"], baseline),
                    apply_head(cached["reinforced_head"], reinforced),
                )
                generic = generic_logits(*logits, self.config.alpha, self.config.relu_on)
                rows_here = slice(int(numbers[0]), int(numbers[-1]) + 1)
                generic = ban(generic, cached["banned"], cached["topic"], rows_here)
            return kl_rows(generic.log_softmax(-1), apply_head(head, rows).log_softmax(-1))

        return divergence
