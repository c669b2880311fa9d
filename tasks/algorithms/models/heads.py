"""A language model in two halves: hidden states for every position, logits only where they are wanted.

Logits are `vocab / hidden` times larger than the last hidden states they come from (63x at a vocabulary of 128k), so
hidden states are what is cached, and the frozen head is applied again, in chunks, where logits are needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True)
class LogitShape:
    """What a model does around its output layer, read off its config."""

    before: float = 1.0
    """Factor on the states that the layer reads."""
    factor: float = 1.0
    """Factor on its logits."""
    cap: float | None = None
    """Logits go softly towards this size."""
    entries: int | None = None
    """Only so many logits are kept: the rest of the vocabulary is filler."""


BEFORE = {"minicpm3": "logits_scaling", "inkling_text": "logits_mup_width_multiplier"}
"""Model type -> field of its config by which the states are divided that the head reads."""
CAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
"""Fields of configs that are soft caps."""


def logit_shape(config: Any) -> LogitShape:
    """Return what is done around the output layer of a model with this transformers config."""
    config = text_config(config)
    kind, scaling = getattr(config, "model_type", ""), _number(config, "logits_scaling")
    factor = (_number(config, "logit_scale") if kind != "mpt" else 1.0) * _number(config, "lm_head_multiplier")
    if kind not in BEFORE:
        factor *= 1 / scaling if kind.startswith("granite") else scaling
    return LogitShape(
        before=1 / _number(config, BEFORE[kind]) if kind in BEFORE else 1.0,
        factor=factor,
        cap=next((cap for name in CAPS if (cap := getattr(config, name, None))), None),
        entries=getattr(config, "unpadded_vocab_size", None),
    )


def text_config(config: Any) -> Any:
    """Return the part of a config that is about text; some nest it in `text_config`."""
    return getattr(config, "text_config", None) or config


def _number(config: Any, name: str) -> float:
    """Return a factor that a config names, 1 where it names none."""
    return getattr(config, name, None) or 1.0


class ShapedHead(nn.Module):
    """An output layer, and what its model does to its states and logits: caps them softly, as Gemma 2, or scales them,
    as Cohere's models, Granite and Falcon-H1.
    """

    def __init__(self, head: nn.Module, shape: LogitShape) -> None:
        super().__init__()
        self.head, self.shape = head, shape

    def forward(self, hidden: Float[Tensor, "*rows hidden"]) -> Float[Tensor, "*rows vocab"]:
        """Return logits as the whole model gives them."""
        shape = self.shape
        logits = self.head(hidden if shape.before == 1.0 else hidden * shape.before) * shape.factor
        logits = logits if shape.cap is None else torch.tanh(logits / shape.cap) * shape.cap
        return logits[..., : shape.entries]

    @property
    def weight(self) -> Tensor:
        """The output layer's own."""
        return self.head.weight

    @property
    def out_features(self) -> int:
        """Entries of the vocabulary."""
        return min(self.shape.entries or NO_LIMIT, self.head.out_features)


def output_head(model: nn.Module) -> nn.Module:
    """Return what turns last hidden states into logits: the output layer, with what the model does around it."""
    head, shape = model.get_output_embeddings(), logit_shape(getattr(model, "config", None))
    return head if shape == LogitShape() else ShapedHead(head, shape)


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
        ValueError: If both ways differ by more than 1e-5 of the largest logit; in half precision by more than it
            rounds to.
    """
    whole = model(input_ids=ids, attention_mask=mask).logits
    _require_same(model, whole, apply_head(output_head(model), last_hidden(model, ids, mask)))


@torch.no_grad()
def check_shape(model: nn.Module) -> None:
    """Do as `check_head` with a model that has no weights: what it does around its output layer is computed with states
    and an output layer that are made up.

    Args:
        model: On the meta device; not to be used afterwards, since its two halves are replaced.

    Raises:
        ValueError: As `check_head`, or if the model does not come apart in two halves.
    """
    head, drawn = model.get_output_embeddings(), torch.Generator().manual_seed(0)
    if head is None or getattr(head, "weight", None) is None or model.base_model is model:
        raise ValueError(f"{type(model).__name__} is not one lower half and one output layer; wanted a model that is")
    entries, width = head.weight.shape
    hidden, row = (4 * torch.randn(size, generator=drawn) for size in ((1, 3, width), (entries,)))
    for half in (model.base_model, getattr(model.base_model, "decoder", None)):  # some call the inner one
        if isinstance(half, nn.Module):
            half.forward = lambda *inputs, **options: _Lower(hidden)
    head.forward = lambda states: states[..., :1] * row
    try:
        whole = model(input_ids=torch.zeros(1, 3, dtype=torch.long)).logits
    except (RuntimeError, AttributeError, TypeError, NotImplementedError, KeyError, IndexError) as error:
        raise ValueError(
            f"{type(model).__name__} does more with its last hidden states than its output layer"
            f" ({type(error).__name__}); wanted a model whose logits are its head applied to the last hidden states"
        ) from None
    _require_same(model, whole, apply_head(output_head(model), hidden))


class _Lower:
    """What a lower half gives: its states, and nothing else."""

    def __init__(self, hidden: Tensor) -> None:
        self.last_hidden_state = hidden

    def __getitem__(self, index: Any) -> Any:
        return (self.last_hidden_state,)[index]

    def __getattr__(self, name: str) -> None:
        return None


def _require_same(model: nn.Module, whole: Tensor, halves: Tensor) -> None:
    relative = max(1e-5, 2 * torch.finfo(whole.dtype).eps if whole.dtype.itemsize < 4 else 0.0)
    same = whole.shape == halves.shape
    gap = (whole.float() - halves).abs().max().item() if same else float("inf")
    if not gap <= relative * max(1.0, whole.abs().max().item()):
        raise ValueError(
            f"{type(model).__name__} changes its logits after the output head (difference {gap:.3g}); wanted a model"
            " whose logits are its head applied to the last hidden states"
        )


def context_size(config: Any) -> int:
    """Return how many tokens a model with this transformers config reads at most; one without positions (ALiBi,
    state-space models) has no limit.
    """
    return getattr(text_config(config), "max_position_embeddings", None) or NO_LIMIT
