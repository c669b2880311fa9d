"""A language model in two halves: hidden states for every position, logits only where they are wanted.

Logits are `vocab / hidden` times larger than the last hidden states they come from (63x at a vocabulary of 128k), so
hidden states are what is cached, and the frozen head is applied again, in chunks, where logits are needed.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tasks.algorithms.shapes import Float, Int

NO_LIMIT = 2**31 - 1
"""Context of a model that has no end of it."""


def last_hidden(
    model: nn.Module, ids: Int[Tensor, "batch seq"], mask: Int[Tensor, "batch seq"]
) -> Float[Tensor, "batch seq hidden"]:
    """Return what the model's head reads: its last hidden states, after the final norm."""
    return model.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state


def scored_hidden(
    model: nn.Module, ids: Int[Tensor, "batch seq"], mask: Int[Tensor, "batch seq"], starts: Sequence[int]
) -> Float[Tensor, "batch seq hidden"]:
    """Return what the model's head reads; a model with an output filter is told where in each row its own
    words begin.
    """
    behind = getattr(model, "hidden_behind_guardrail", None)
    return behind(ids, mask, starts) if behind else last_hidden(model, ids, mask)


class ShapedHead(nn.Module):
    """An output layer, and what its model does to its logits: caps them softly, as Gemma 2, or scales them, as Cohere's
    models, Granite and Falcon-H1.
    """

    def __init__(self, head: nn.Module, factor: float, cap: float | None) -> None:
        super().__init__()
        self.head, self.factor, self.cap = head, factor, cap

    def forward(self, hidden: Float[Tensor, "*rows hidden"]) -> Float[Tensor, "*rows vocab"]:
        """Return logits as the whole model gives them."""
        logits = self.head(hidden) * self.factor
        return logits if self.cap is None else torch.tanh(logits / self.cap) * self.cap

    @property
    def weight(self) -> Tensor:
        """The output layer's own."""
        return self.head.weight

    @property
    def out_features(self) -> int:
        """Entries of the vocabulary."""
        return self.head.out_features


def output_head(model: nn.Module) -> nn.Module:
    """Return what turns last hidden states into logits: the output layer, with what the model does behind it."""
    head, config = model.get_output_embeddings(), getattr(model, "config", None)
    factor = getattr(config, "logit_scale", None) or getattr(config, "lm_head_multiplier", None) or 1.0
    scaling = getattr(config, "logits_scaling", None) or 1.0
    factor *= 1 / scaling if getattr(config, "model_type", "").startswith("granite") else scaling
    cap = getattr(config, "final_logit_softcapping", None) or getattr(config, "logits_soft_cap", None)
    return head if factor == 1.0 and cap is None else ShapedHead(head, factor, cap)


def apply_head(head: nn.Module, hidden: Float[Tensor, "*rows hidden"]) -> Float[Tensor, "*rows vocab"]:
    """Return logits, unnormalised log-probabilities in nats, in float32."""
    return head(hidden).float()


def output_size(head: nn.Module, hidden: Float[Tensor, "rows hidden"]) -> int:
    """Return how many logits the head makes of one row."""
    return getattr(head, "out_features", None) or head(hidden[:1]).shape[-1]


@torch.no_grad()
def check_head(model: nn.Module, ids: Int[Tensor, "batch seq"], mask: Int[Tensor, "batch seq"]) -> None:
    """Refuse a model that does something to its logits of which `output_head` does not know.

    Raises:
        ValueError: If both ways differ by more than 1e-3 of the largest logit.
    """
    whole = model(input_ids=ids, attention_mask=mask).logits.float()
    halves = apply_head(output_head(model), last_hidden(model, ids, mask))
    gap = (whole - halves).abs().max().item()
    if gap > 1e-3 * whole.abs().max().item() + 1e-4:
        raise ValueError(
            f"{type(model).__name__} changes its logits after the output head (difference {gap:.3g}); wanted a model"
            " whose logits are its head applied to the last hidden states"
        )


def context_size(config: Any) -> int:
    """Return how many tokens a model with this transformers config reads at most; one without positions (ALiBi,
    state-space models) has no limit.
    """
    return getattr(config, "max_position_embeddings", None) or NO_LIMIT
