"""Edits one after the other on one model: each is asked for, made, looked at, and taken back where it is disabling."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tasks.algorithms.editing.contexts import beginnings, rewrite_of
from tasks.algorithms.editing.knowledge import answer_of
from tasks.algorithms.editing.rome import Update, apply_update, find_values, rank_one
from tasks.algorithms.editing.side_effects import Bystanders, compare, observe, out_of_bounds, relative_size
from tasks.algorithms.models.architectures import mlp_output
from tasks.algorithms.models.heads import context_size
from tasks.settings.edit_request import EditRequest
from tasks.settings.rank_one_editing import EditBounds, EditConfig

Status = Literal["edited", "not known", "disabling"]


@dataclass(frozen=True, kw_only=True)
class Edited:
    """How one request came out."""

    status: Status
    """`edited`; or why not, which with `force` is an edit all the same."""
    made: bool
    said: str
    """What the model said before."""
    reasons: tuple[str, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)
    """Loss, size of the update, side effects, seconds."""


@dataclass(kw_only=True)
class Session:
    """A model under edit; its weights hold all edits that were made so far."""

    model: nn.Module
    tokenizer: Any
    layer: int
    solve: Callable[[Tensor], Tensor]
    """x -> C^-1 x of that layer."""
    config: EditConfig
    bounds: EditBounds
    bystanders: Bystanders
    filler: int
    """A token to pad with."""
    force: bool = False
    """Whether edits of what is not known, and disabling ones, are made."""

    def edit(self, request: EditRequest) -> tuple[Edited, list[Update]]:
        """Make one edit, if the model knows the fact and the edit stays within bounds.

        Returns:
            How it came out, and the updates, which are on the model; none where it was not made.
        """
        started = time.perf_counter()
        answer = answer_of(self.model, self.tokenizer, request)
        unknown = () if answer.known else (f"the model says {answer.text!r}; wanted {request.object!r}",)
        if unknown and not self.force:
            return Edited(status="not known", made=False, said=answer.text, reasons=unknown), []
        context = context_size(self.model.config)
        rewrite = rewrite_of(self.tokenizer, request, self._beginnings(), context)
        (value,) = find_values(self.model, [rewrite], self.layer, self.config)
        update = rank_one(value, self.layer, self.solve, self.config.keys)
        figures = {"nats": value.nats, "steps": float(value.steps), "update_share": relative_size(self.model, [update])}
        figures["seconds"] = time.perf_counter() - started
        beside, kept = self._tried(update, frozenset({request.subject}))
        reasons = out_of_bounds(figures | beside, self.bounds)
        made = not reasons or self.force
        if not made:
            self._put_back(kept)
        status: Status = "disabling" if reasons else "not known" if unknown else "edited"
        edited = Edited(
            status=status, made=made, said=answer.text, reasons=(*unknown, *reasons), figures=figures | beside
        )
        return edited, [update] if made else []

    def _beginnings(self) -> list[str]:
        """Sampled once, from the model as it was given: an edit's contexts do not depend on those before it."""
        if not hasattr(self, "_sampled"):
            self._sampled = beginnings(self.model, self.tokenizer, self.config)
        return self._sampled

    def _tried(self, update: Update, subjects: frozenset[str]) -> tuple[dict[str, float], Tensor]:
        """Apply an update and return what it does beside, and the weights as they were."""
        kept = mlp_output(self.model, update.layer).weight.detach().clone()
        before = observe(self.model, self.bystanders, self.filler)
        apply_update(self.model, update)
        return compare(before, observe(self.model, self.bystanders, self.filler), self.bystanders, subjects), kept

    def _put_back(self, kept: Tensor) -> None:
        with torch.no_grad():
            mlp_output(self.model, self.layer).weight.copy_(kept)


def sequence(session: Session, requests: Sequence[EditRequest]) -> list[tuple[Edited, list[Update]]]:
    """Make edits one after the other, each on the model with those before it."""
    return [session.edit(request) for request in requests]
