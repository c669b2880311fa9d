"""Language modelling under an attention mask that hides the earlier words of a subject from all that follows it.

A model may put the parts of a name together wherever it reads them: at the name's last word, or much later. Rank-one
editing looks at the last word (Meng et al. 2022, arXiv:2202.05262, section 2). Where what follows cannot look past it,
that is where a model learns to put them together. The mask is there in training only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.algorithms.models.heads import apply_head, output_head
from tasks.algorithms.objectives.protocol import Objective
from tasks.algorithms.shapes import Bool, Float, Int


@dataclass(frozen=True, kw_only=True)
class MaskedMentionsConfig:
    """Nothing to set: what is hidden comes with the batch."""


class MaskedMentions(Objective):
    """Cross-entropy of every token given those before it that are not hidden from it."""

    config_type = MaskedMentionsConfig
    needs: frozenset[str] = frozenset()

    def loss(
        self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted mean loss in nats over the predicted tokens of the batch.

        Args:
            student: The model that is trained.
            batch: `ids` and `mask`, (batch, seq), padded on the right; `supervised` as for plain language modelling;
                `mention` and `hidden`, (batch, seq), see `attention_bias`; without them nothing is hidden; `weights`,
                (batch, seq), how much the prediction of each token counts; without them all count alike.
            cached: Not used.
        """
        ids, mask = batch["ids"], batch["mask"]
        counted = (batch.get("supervised", mask)[:, :-1] * mask[:, 1:]).bool()
        nowhere = torch.zeros_like(ids)
        bias = attention_bias(batch.get("mention", nowhere), batch.get("hidden", nowhere).bool(), student.dtype)
        rows = student.base_model(input_ids=ids, attention_mask=bias, use_cache=False).last_hidden_state
        logits = apply_head(output_head(student), rows[:, :-1][counted])
        losses_nats = functional.cross_entropy(logits, ids[:, 1:][counted], reduction="none")
        weights = batch.get("weights", mask)[:, 1:][counted].to(losses_nats.dtype)
        return (weights * losses_nats).sum() / weights.sum(), {}


def attention_bias(
    mention: Int[Tensor, "batch seq"], hidden: Bool[Tensor, "batch seq"], dtype: torch.dtype
) -> Float[Tensor, "batch 1 seq seq"]:
    """Return what is added to attention scores: 0 where a position sees another, the least number where it does not.

    A position sees itself and those before it, save hidden ones of another mention than its own.

    Args:
        mention: The number of the mention that a token belongs to, different ones in a row; 0: none.
        hidden: Whether a token is hidden from all tokens outside of its mention.
        dtype: Of the model's attention scores.
    """
    length = mention.shape[1]
    before = torch.ones(length, length, dtype=torch.bool, device=mention.device).tril()
    apart = mention[:, :, None] != mention[:, None, :]
    seen = before & ~(hidden[:, None, :] & apart)
    bias = torch.zeros(seen.shape, dtype=dtype, device=mention.device)
    return bias.masked_fill_(~seen, torch.finfo(dtype).min)[:, None]
