"""Attention of a tail of few tokens to itself and to a prefix that nothing changes.

Where only the tail is computed, most of what a layer spends goes to moving the prefix's keys and values about, and to
their gradients. Here they are joined to the tail's once a pass, in one piece, and gradients are made for the tail.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers.cache_utils import DynamicLayer
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from tasks.algorithms.shapes import Float

NAME = "fixed_prefix"
"""Of the implementation, as transformers knows it."""
FAST = 8
"""Positions: a batch of smaller products takes a kernel that is several times as slow."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Keys or values of all positions, in two parts."""

    prefix: Float[Tensor, "rows key_heads prefix head_size"]
    tail: Float[Tensor, "rows key_heads tail head_size"]


class PrefixLayer(DynamicLayer):
    """A layer of a cache that holds a prefix and hands it over beside the tail, not joined to it; where the model has
    attention of its own, joined.
    """

    def __init__(self, keys: Tensor, values: Tensor, *, apart: bool) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self.keys, self.values, self.apart = keys, values, apart

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Return keys and values of all positions."""
        if not self.apart:
            return super().update(key_states, value_states, *args, **kwargs)
        return Parts(prefix=self.keys, tail=key_states), Parts(prefix=self.values, tail=value_states)


@contextmanager
def fixed_prefix(model: nn.Module) -> Iterator[bool]:
    """Let a model attend in this way, and say whether it can; its own attention comes back at the end, whatever
    happens. Only PyTorch's is taken over: a model that has none, or is set to another, has a reason.
    """
    config = model.base_model.config
    if config._attn_implementation != "sdpa":
        yield False
        return
    config._attn_implementation = NAME
    try:
        yield True
    finally:
        config._attn_implementation = "sdpa"


def attend(
    module: nn.Module,
    query: Float[Tensor, "rows heads tail head_size"],
    key: Parts,
    value: Parts,
    attention_mask: Float[Tensor, "rows 1 tail seq"],
    scaling: float | None = None,
    **_: Any,
) -> tuple[Float[Tensor, "rows tail heads head_size"], None]:
    """Return softmax(scaling q k^T + mask) v. Heads that share their keys are computed as one longer tail."""
    rows, heads, tail, size = query.shape
    groups = key.tail.shape[1]

    def flat(states: Tensor) -> Tensor:
        return states.reshape(rows * groups, -1, states.shape[-1])

    mask = flat(attention_mask[:, :, None].expand(-1, groups, heads // groups, -1, -1))
    made = _Attention.apply(
        flat(query),
        flat(key.tail),
        flat(value.tail),
        (flat(key.prefix), flat(value.prefix)),
        mask,
        size**-0.5 if scaling is None else scaling,
    )
    return made.view(rows, heads, tail, size).transpose(1, 2), None


class _Attention(torch.autograd.Function):
    """Of rows and heads end to end: queries (all, heads that share * tail, size), the tail (all, tail, size)."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        prefix: tuple[Tensor, Tensor],
        mask: Tensor,
        scaling: float,
    ) -> Tensor:
        keys, values = torch.cat([prefix[0], key], dim=1), torch.cat([prefix[1], value], dim=1)
        scores = torch.baddbmm(mask, query, keys.transpose(1, 2), alpha=scaling)
        exact = torch.promote_types(scores.dtype, torch.float32)
        weights = scores.softmax(dim=-1, dtype=exact).to(scores.dtype)
        ctx.save_for_backward(query, keys, values, weights)
        ctx.scaling, ctx.start = scaling, prefix[0].shape[1]
        return weights @ values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, keys, values, weights = ctx.saved_tensors
        towards = torch._softmax_backward_data(gradient @ values.transpose(1, 2), weights, -1, weights.dtype)
        towards = towards * ctx.scaling
        last = slice(max(0, min(ctx.start, keys.shape[1] - FAST)), None)
        key, value = (side[:, :, last].transpose(1, 2) @ of for side, of in ((towards, query), (weights, gradient)))
        tail = slice(-(keys.shape[1] - ctx.start), None)
        return towards @ keys, key[:, tail], value[:, tail], None, None, None


ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, eager_mask)
