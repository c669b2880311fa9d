"""What a frozen model says about a batch: computed once and stored, or at every step by a live teacher, by the same
functions.

One number a sequence is enough for NPO and DPO; for divergences the last hidden states are, since the frozen head turns
them into the same logits (63 times larger at a vocabulary of 128k). So no second model need be in memory while the
student is trained.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from tasks.algorithms.measuring.metrics import bounded_exp, log_mean_exp
from tasks.algorithms.models.layers import hidden_after
from tasks.algorithms.objectives.terms import counted_rows, sequence_lengths, sequence_logprobs
from tasks.algorithms.tokens.batching import pad_batch
from tasks.algorithms.tokens.text_blocks import TextBlock

KINDS = {
    "reference_logprob": ("forget", "reference_logprobs"),
    "preferred_reference_logprob": ("preferred", "reference_logprobs"),
    "forget_hidden": ("forget", "forget_hidden"),
    "retain_hidden": ("retain", "reference_hidden"),
    "retain_layer_hidden": ("retain", "retain_layer_hidden"),
}
"""Entry of `cached` -> the rows that it is about, and the need that it meets."""


def wanted_entries(part: str, needs: frozenset[str]) -> tuple[str, ...]:
    """Return which entries an objective with these needs wants on the rows of `part`: forget, retain or preferred."""
    return tuple(name for name, (of, need) in KINDS.items() if of == part and need in needs)


def prefix(part: str) -> str:
    """Return how the names of a part's tensors begin: those of forget rows have no prefix."""
    return "" if part == "forget" else f"{part}_"


def row_tensors(part: str, rows: Sequence[TextBlock], pad_id: int, device: torch.device) -> dict[str, Tensor]:
    """Return rows as a padded batch, under the names that objectives know."""
    lead = prefix(part)
    ids, mask = pad_batch([row.ids for row in rows], pad_id, device)
    supervised, _ = pad_batch([row.supervised for row in rows], 0, device)
    return {f"{lead}ids": ids, f"{lead}mask": mask, f"{lead}supervised": supervised}


@torch.no_grad()
def reference_entries(
    model: nn.Module, tensors: Mapping[str, Tensor], part: str, names: Sequence[str], layer: int | None = None
) -> dict[str, Tensor]:
    """Run a frozen model on the rows of one part.

    Args:
        model: The frozen model.
        tensors: A batch from `row_tensors`.
        part: forget, retain or preferred.
        names: Entries wanted, see `wanted_entries`.
        layer: For `retain_layer_hidden`: after which layer.

    Returns:
        `*_logprob`: (rows,), sums over supervised tokens in nats; `*_hidden`: (counted positions, hidden), row after
        row;
        `retain_layer_hidden`: (rows, seq, hidden).
    """
    found: dict[str, Tensor] = {}
    for name in names:
        if name == "retain_layer_hidden":
            found[name] = hidden_after(model, layer, tensors["retain_ids"], tensors["retain_mask"])
        elif name.endswith("_hidden"):
            found[name] = counted_rows(model, tensors, prefix(part))[0]
        else:
            found[name] = sequence_logprobs(model, tensors, prefix(part))
    return found


def split_by_row(name: str, value: Tensor, rows: Sequence[TextBlock]) -> list[Tensor]:
    """Cut an entry into one piece a row: a number, counted positions, or all positions of it without padding."""
    if name == "retain_layer_hidden":
        return [value[slot, : len(row.ids)] for slot, row in enumerate(rows)]
    if name.endswith("_hidden"):
        return list(value.split([sum(row.supervised[:-1]) for row in rows]))
    return list(value.unsqueeze(-1))


def join_rows(name: str, pieces: Sequence[Tensor], width: int) -> Tensor:
    """Put the pieces of some rows together again, as `reference_entries` gives them for a batch of `width` tokens a
    row.
    """
    if name == "retain_layer_hidden":
        return torch.stack([torch.nn.functional.pad(piece, (0, 0, 0, width - len(piece))) for piece in pieces])
    return torch.cat(list(pieces))


def mean_logprobs(model: nn.Module, rows: Sequence[TextBlock], pad_id: int, batch: int) -> Tensor:
    """Return each row's mean log-probability a supervised token, in nats, (rows,)."""
    device, parts = next(model.parameters()).device, []
    for start in range(0, len(rows), batch):
        chosen = rows[start : start + batch]
        tensors = row_tensors("forget", chosen, pad_id, device)
        parts.append(sequence_logprobs(model, tensors) / sequence_lengths(tensors))
    return torch.cat(parts)


def validator(
    student: nn.Module, forget: Sequence[TextBlock], retain: Sequence[TextBlock], pad_id: int, batch: int, stop: float
) -> Callable[[nn.Module], dict[str, float]]:
    """Return a function that scores a model: what of the forget rows is left above `stop` and, where there are retain
    rows, the rise of their loss and their probability as a share of what it was.

    Args:
        student: The model before training: its loss and probability on the retain rows are what later ones are held
            against.
        forget: Forget rows, at least one.
        retain: Retain rows that are not trained on; may be none.
        pad_id: Filler token.
        batch: Rows in one forward pass.
        stop: Mean probability at which nothing is left to do, 0 to 1.
    """

    @torch.no_grad()
    def kept(model: nn.Module) -> tuple[float, float]:
        found = mean_logprobs(model, retain, pad_id, batch)
        return -float(found.mean()), log_mean_exp(found)

    loss_before, before_nats = kept(student) if retain else (0.0, 0.0)

    @torch.no_grad()
    def measured(model: nn.Module) -> dict[str, float]:
        probability = float(mean_logprobs(model, forget, pad_id, batch).exp().mean())
        metrics = {"left": max(0.0, probability - stop), "forget_probability": probability}
        if retain:
            loss, after_nats = kept(model)
            metrics |= {
                "retain_loss_rise_nats": loss - loss_before,
                "retain_ratio": bounded_exp(after_nats - before_nats),
            }
        return metrics

    return measured
