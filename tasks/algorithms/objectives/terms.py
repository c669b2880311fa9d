"""What objectives are made of: log-probabilities of counted tokens, cross-entropy, divergence from cached states, the
retain term.

Position p of a row predicts its token p + 1; it counts where `supervised` says so and that token is no padding. Logits
are made at counted positions only. Where they are many, they are made in chunks and made again in the backward pass, so
that never more than `LOGITS_AT_ONCE` of them are kept, whatever the batch; few of them take the plain path.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from tasks.algorithms.models.heads import apply_head, last_hidden, output_head, output_size
from tasks.algorithms.shapes import Bool, Float, Int
from tasks.settings.objectives.retain_term import RETAIN_LOSSES

LOGITS_AT_ONCE = 2**24
"""Logits of one chunk: 64 MB in float32, enough rows for a matrix product at full speed (128 at a vocabulary of
128k)."""


def counted_positions(mask: Int[Tensor, "batch seq"], supervised: Tensor) -> Bool[Tensor, "batch positions"]:
    """Return at which positions, the last one left out, a prediction counts; `supervised` is (batch, seq), of any
    integer type or bool.
    """
    return (supervised[:, :-1] * mask[:, 1:]).bool()


def counted_rows(
    student: nn.Module, batch: Mapping[str, Tensor], prefix: str = ""
) -> tuple[Float[Tensor, "rows hidden"], Int[Tensor, " rows"]]:
    """Return the student's last hidden states at counted positions, in row-major order, and the tokens that they
    predict.

    Args:
        student: A causal language model.
        batch: `<prefix>ids`, `<prefix>mask`, `<prefix>supervised`, (batch, seq); padded on the right.
        prefix: Empty for forget rows, `retain_` or `preferred_` for others.
    """
    ids, mask, counted = _counted(batch, prefix)
    return last_hidden(student, ids, mask)[:, :-1][counted], ids[:, 1:][counted]


def _counted(batch: Mapping[str, Tensor], prefix: str) -> tuple[Tensor, Tensor, Tensor]:
    ids, mask = batch[f"{prefix}ids"], batch[f"{prefix}mask"]
    return ids, mask, counted_positions(mask, batch[f"{prefix}supervised"])


def over_chunks(function: Callable[..., Tensor], head: nn.Module, *rows: Tensor) -> Float[Tensor, " rows"]:
    """Return `function(*rows)`, one number a row, without keeping the logits that it makes on its way.

    Args:
        function: Turns rows into one number each; every row by itself.
        head: Tells how many logits a row has.
        rows: Tensors of equal length, the first of them hidden states.
    """
    size = max(1, LOGITS_AT_ONCE // output_size(head, rows[0]))
    if len(rows[0]) <= size:
        return function(*rows)
    chunks = zip(*(tensor.split(size) for tensor in rows), strict=True)
    return torch.cat([checkpoint(function, *chunk, use_reentrant=False, preserve_rng_state=False) for chunk in chunks])


def token_logprobs(
    head: nn.Module, hidden: Float[Tensor, "rows hidden"], targets: Int[Tensor, " rows"]
) -> Float[Tensor, " rows"]:
    """Return the log-probability of each row's target token, in nats, float32."""

    def log_p(rows: Tensor, tokens: Tensor) -> Tensor:
        return -functional.cross_entropy(apply_head(head, rows), tokens, reduction="none")

    return over_chunks(log_p, head, hidden, targets)


def sequence_logprobs(student: nn.Module, batch: Mapping[str, Tensor], prefix: str = "") -> Float[Tensor, " batch"]:
    """Return the sum of the log-probabilities of each row's counted tokens, in nats, float32; 0 where a row has none.

    Args:
        student: A causal language model.
        batch: See `counted_rows`.
        prefix: See `counted_rows`.
    """
    return row_sums(batch, token_logprobs(output_head(student), *counted_rows(student, batch, prefix)), prefix)


def row_sums(
    batch: Mapping[str, Tensor], values: Float[Tensor, " tokens"], prefix: str = ""
) -> Float[Tensor, " batch"]:
    """Return the sum over each row's counted tokens of values that stand in row-major order; 0 where a row has none."""
    _, _, counted = _counted(batch, prefix)
    empty = torch.zeros(counted.shape, dtype=values.dtype, device=values.device)
    return empty.masked_scatter(counted, values).sum(dim=1)


def sequence_lengths(batch: Mapping[str, Tensor], prefix: str = "") -> Int[Tensor, " batch"]:
    """Return how many tokens of each row count."""
    return _counted(batch, prefix)[2].sum(dim=1)


def cached_logprobs(cached: Mapping[str, Any], name: str, batch: int) -> Float[Tensor, " batch"]:
    """Return one cached number a row.

    Raises:
        ValueError: If its shape is another: (batch, 1) against (batch,) would broadcast to all pairs of rows.
    """
    if cached[name].shape != (batch,):
        raise ValueError(f"{name} has shape {tuple(cached[name].shape)}; wanted ({batch},), one number for each row")
    return cached[name]


def cross_entropy(student: nn.Module, batch: Mapping[str, Tensor], prefix: str = "") -> Float[Tensor, ""]:
    """Return the mean negative log-likelihood of the counted tokens of all rows, in nats; 0 where none counts."""
    return -mean(token_logprobs(output_head(student), *counted_rows(student, batch, prefix)))


def mean(values: Float[Tensor, " rows"]) -> Float[Tensor, ""]:
    """Return the mean; 0, and still a function of the weights, where there is nothing to take it of."""
    return values.mean() if len(values) else values.sum()


def kl_rows(
    reference_log_p: Float[Tensor, "rows vocab"], model_log_p: Float[Tensor, "rows vocab"]
) -> Float[Tensor, " rows"]:
    """Return KL(reference || model) of each row, in nats.

    Args:
        reference_log_p: Log-probabilities; minus infinity where the reference gives none (0 log 0 = 0).
        model_log_p: Log-probabilities of the model, finite.
    """
    told = reference_log_p.clamp(min=-1e4)  # e to that power is 0, and 0 times it is a number
    return functional.kl_div(model_log_p, told, reduction="none", log_target=True).sum(-1)


def kl_to_cached(
    head: nn.Module,
    hidden: Float[Tensor, "rows hidden"],
    frozen_head: nn.Module,
    frozen_hidden: Float[Tensor, "frozen_rows frozen_hidden"],
) -> Float[Tensor, " rows"]:
    """Return KL(reference || student) of each row, in nats, float32.

    Args:
        head: The student's output head.
        hidden: The student's last hidden states.
        frozen_head: The reference model's output head; no gradient reaches it.
        frozen_hidden: The reference model's last hidden states of the same positions, cached.

    Raises:
        ValueError: If the cached states are not one for each row.
    """
    check_rows(hidden, frozen_hidden)

    def divergence(rows: Tensor, frozen: Tensor) -> Tensor:
        with torch.no_grad():
            reference = apply_head(frozen_head, frozen).log_softmax(-1)
        return kl_rows(reference, apply_head(head, rows).log_softmax(-1))

    return over_chunks(divergence, head, hidden, frozen_hidden)


def check_rows(hidden: Float[Tensor, "rows hidden"], cached: Float[Tensor, "frozen_rows frozen_hidden"]) -> None:
    """Refuse cached states that belong to other positions than those that count.

    Raises:
        ValueError: If there are more or fewer of them.
    """
    if len(cached) != len(hidden):
        raise ValueError(
            f"the cache holds {len(cached)} hidden states for this batch; wanted {len(hidden)}, one for each position"
            " that counts"
        )


def retain_term(
    student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any], kind: str
) -> Float[Tensor, ""]:
    """Return what it costs the student to leave the retain text: `ce` or `kl` of `RETAIN_LOSSES`, the mean over its
    counted tokens, in nats.

    Args:
        student: The model that is trained.
        batch: `retain_ids`, `retain_mask`, `retain_supervised`, (batch, seq).
        cached: For `kl` also `retain_hidden` (counted positions in row-major order, hidden) and the frozen
            `reference_head`.
        kind: `ce` or `kl`.

    Raises:
        KeyError: If `kind` is neither.
    """
    if kind not in RETAIN_LOSSES:
        raise KeyError(f"there is no retain loss {kind!r}; wanted one of {', '.join(RETAIN_LOSSES)}")
    if kind == "ce":
        return cross_entropy(student, batch, "retain_")
    hidden, _ = counted_rows(student, batch, "retain_")
    return mean(kl_to_cached(output_head(student), hidden, cached["reference_head"], cached["retain_hidden"]))
