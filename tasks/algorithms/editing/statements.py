"""Statements, prompts with what should follow: kept in one pass, and scored again with something changed from a layer
on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tasks.algorithms.measuring.metrics import ScoredSequence
from tasks.algorithms.models.activations import Kept, keep, logits_of, pad_left, resume
from tasks.algorithms.shapes import Float, Int


@dataclass(frozen=True, kw_only=True)
class KeptStatements:
    """Statements, and the states of one pass over them."""

    kept: Kept
    row: Int[Tensor, " tokens"]
    """The statement of each scored token."""
    place: Int[Tensor, " tokens"]
    """Position whose logits predict it."""
    token: Int[Tensor, " tokens"]
    share: Float[Tensor, " tokens"]
    """One over its statement's scored tokens."""

    @property
    def rows(self) -> int:
        """How many statements there are."""
        return len(self.kept.ids)

    def log_probabilities(self, model: nn.Module, layer: int) -> Float[Tensor, "tokens vocab"]:
        """Return what is said at each scored token, with the layers from this one on run again."""
        last = resume(model, self.kept, layer, self.kept.inputs[layer])
        return logits_of(model, last[self.row, self.place]).log_softmax(dim=-1)

    def nats(self, log_probabilities: Float[Tensor, "tokens vocab"]) -> Float[Tensor, " rows"]:
        """Return each statement's loss, nats a token."""
        return self.mean(-log_probabilities.gather(1, self.token[:, None])[:, 0])

    def mean(self, values: Float[Tensor, " tokens"]) -> Float[Tensor, " rows"]:
        """Return each statement's mean over its scored tokens."""
        empty = torch.zeros(self.rows, dtype=values.dtype, device=values.device)
        return empty.index_add(0, self.row, values * self.share.to(values))


def keep_statements(model: nn.Module, statements: Sequence[ScoredSequence]) -> KeptStatements:
    """Run a model once over statements.

    Raises:
        ValueError: If there is none.
    """
    if not statements:
        raise ValueError("there is no statement; wanted at least one")
    device = next(model.parameters()).device
    ids, mask = pad_left([statement.ids[:-1] for statement in statements], statements[0].ids[0])
    reads = [
        (
            row,
            ids.shape[1] - len(statement.ids) + place,
            statement.ids[place],
            1 / (len(statement.ids) - statement.start),
        )
        for row, statement in enumerate(statements)
        for place in range(statement.start, len(statement.ids))
    ]
    row, place, token, share = (torch.tensor(each, device=device) for each in zip(*reads, strict=True))
    kept = keep(model, ids.to(device), mask.to(device))
    return KeptStatements(kept=kept, row=row, place=place, token=token, share=share)
