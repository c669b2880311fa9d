"""Attention of a tail of few tokens to itself and to a prefix that nothing changes.

Where only the tail is computed, most of what a layer spends goes to moving the prefix's keys and values about, and to
their gradients. Here they stay where they lie, the tail's are written behind them, and gradients are made for the tail
alone.
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

    room: Float[Tensor, "rows key_heads seq head_size"]
    """The prefix, and behind it room for the tail, whatever stands there."""
    tail: Float[Tensor, "rows key_heads tail head_size"]


class PrefixLayer(DynamicLayer):
    """A layer of a cache that holds a prefix and hands it over beside the tail, not joined to it; where the model has
    attention of its own, joined.
    """

    def __init__(self, keys: Tensor, values: Tensor, split: int, *, apart: bool) -> None:
        """Take keys and values of all positions, of which those from `split` on are overwritten."""
        super().__init__()
        self.lazy_initialization(keys, values)
        self.rooms, self.apart = (keys, values), apart
        self.keys, self.values = keys[:, :, :split], values[:, :, :split]

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Return keys and values of all positions."""
        if not self.apart:
            return super().update(key_states, value_states, *args, **kwargs)
        return tuple(
            Parts(room=room, tail=tail) for room, tail in zip(self.rooms, (key_states, value_states), strict=True)
        )


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

    mask = attention_mask[:, :, None].expand(-1, groups, heads // groups, -1, -1)
    states = map(flat, (query, key.tail, value.tail, key.room, value.room, mask))
    made = _Attention.apply(*states, size**-0.5 if scaling is None else scaling)
    return made.view(rows, heads, tail, size).transpose(1, 2), None


class _Attention(torch.autograd.Function):
    """Of rows and heads end to end: queries (all, heads that share * tail, size), the tail (all, tail, size), and rooms
    that it is written into, again on the way back, since other passes may have used them.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor, mask: Tensor, scaling: float
    ) -> Tensor:
        ctx.rooms, ctx.scaling = (keys, values), scaling
        _fill(ctx.rooms, (key, value))
        scores = torch.baddbmm(mask, query, keys.transpose(1, 2), alpha=scaling)
        exact = torch.promote_types(scores.dtype, torch.float32)
        weights = scores.softmax(dim=-1, dtype=exact).to(scores.dtype)
        ctx.save_for_backward(query, key, value, weights)
        return weights @ values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, weights = ctx.saved_tensors
        (keys, values), tail = ctx.rooms, key.shape[1]
        _fill(ctx.rooms, (key, value))
        towards = torch._softmax_backward_data(gradient @ values.transpose(1, 2), weights, -1, weights.dtype)
        towards = towards * ctx.scaling
        last = slice(-min(keys.shape[1], max(tail, FAST)), None)
        key, value = (side[:, :, last].transpose(1, 2) @ of for side, of in ((towards, query), (weights, gradient)))
        return towards @ keys, key[:, -tail:], value[:, -tail:], None, None, None, None


def _fill(rooms: tuple[Tensor, Tensor], tails: tuple[Tensor, Tensor]) -> None:
    for room, tail in zip(rooms, tails, strict=True):
        room[:, -tail.shape[1] :] = tail


ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, eager_mask)
