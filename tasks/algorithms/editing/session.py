"""Edits on one model: each is asked for, made, looked at, and taken back where it is disabling; one after the other, or
all at once with MEMIT.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tasks.algorithms.editing.contexts import Rewrite, beginnings, rewrite_of
from tasks.algorithms.editing.knowledge import answer_of
from tasks.algorithms.editing.memit import memit_updates
from tasks.algorithms.editing.rome import Update, find_values, rank_one
from tasks.algorithms.editing.side_effects import Bystanders, compare, observe, out_of_bounds, relative_size, weakness
from tasks.algorithms.models.heads import context_size
from tasks.settings.edit_request import EditRequest
from tasks.settings.rank_one_editing import EditBounds, EditConfig

Status = Literal["edited", "weak", "not known", "disabling"]


@dataclass(frozen=True, kw_only=True)
class Edited:
    """How one request came out."""

    status: Status
    """`edited`, or `weak` where the new object is still unlikely; or why not, which with `force` is an edit all the
    same."""
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
    layers: tuple[int, ...]
    """Those that are edited, the lowest first; ROME's is the last."""
    solves: tuple[Callable[[Tensor], Tensor], ...]
    """x -> C^-1 x of each."""
    config: EditConfig
    bounds: EditBounds
    bystanders: Bystanders
    filler: int
    """A token to pad with."""
    force: bool = False
    """Whether edits of what is not known, and disabling ones, are made."""
    _beginnings: list[str] = field(init=False)

    def __post_init__(self) -> None:
        """Sample beginnings from the model as it is given, so that no edit's contexts depend on those before it."""
        self._beginnings = beginnings(self.model, self.tokenizer, self.config)

    def edit(self, request: EditRequest) -> tuple[Edited, list[Update]]:
        """Make one edit, if the model knows the fact and the edit stays within bounds.

        Returns:
            How it came out, and the updates, which are on the model; none where it was not made.
        """
        started = time.perf_counter()
        asked = self._asked(request)
        if not asked.made:
            return asked, []
        layer = self.layers[-1]
        (value,) = find_values(self.model, [self._rewrite(request)], layer, self.config)
        update = rank_one(value, layer, self.solves[-1], self.config.keys)
        figures = {"nats": value.nats, "steps": float(value.steps), "update_share": relative_size(self.model, [update])}
        figures["seconds"] = time.perf_counter() - started
        beside, reasons = self._tried([update], frozenset({request.subject}), figures)
        edited = self._outcome(asked, reasons, figures | beside)
        return edited, [update] if edited.made else []

    def edit_together(
        self, requests: Sequence[EditRequest], on_step: Callable[[int, int], None] = lambda done, of: None
    ) -> tuple[list[Edited], list[Update]]:
        """Make all edits at once, of facts that the model knows, if together they stay within bounds.

        Returns:
            How each came out, and the updates, one a layer, which are on the model; none where they were not made.
        """
        started = time.perf_counter()
        asked = [self._asked(request) for request in requests]
        chosen = [request for request, one in zip(requests, asked, strict=True) if one.made]
        if not chosen:
            return asked, []
        rewrites = [self._rewrite(request) for request in chosen]
        updates, values = memit_updates(self.model, rewrites, self.layers, self.solves, self.config, on_step)
        # of one edit: those of unlike keys add up as the root of their number
        figures = {"update_share": relative_size(self.model, updates) / len(chosen) ** 0.5}
        figures["seconds"] = (time.perf_counter() - started) / len(chosen)
        beside, reasons = self._tried(updates, frozenset(request.subject for request in chosen), figures)
        made, found = not reasons or self.force, iter(values)
        outcomes = []
        for one in asked:
            if one.made:
                value = next(found)
                own = {"nats": value.nats, "steps": float(value.steps), **figures, **beside}
                one = self._outcome(one, reasons, own)
            outcomes.append(one)
        return outcomes, updates if made else []

    def _asked(self, request: EditRequest) -> Edited:
        """Return what the model says today, and whether the edit is to be tried."""
        answer = answer_of(self.model, self.tokenizer, request)
        unknown = () if answer.known else (f"the model says {answer.text!r}; wanted {request.object!r}",)
        status: Status = "not known" if unknown else "edited"
        return Edited(status=status, made=not unknown or self.force, said=answer.text, reasons=unknown)

    def _outcome(self, asked: Edited, beyond: tuple[str, ...], figures: dict[str, float]) -> Edited:
        """Return how an edit came out that was tried, with what of it is out of bounds."""
        weak = weakness(figures["nats"], self.bounds)
        status: Status = "disabling" if beyond else "weak" if weak and asked.status == "edited" else asked.status
        made = not beyond or self.force
        return replace(asked, status=status, made=made, reasons=(*asked.reasons, *beyond, *weak), figures=figures)

    def _rewrite(self, request: EditRequest) -> Rewrite:
        return rewrite_of(self.tokenizer, request, self._beginnings, context_size(self.model.config))

    def _tried(
        self, updates: Sequence[Update], subjects: frozenset[str], figures: dict[str, float]
    ) -> tuple[dict[str, float], tuple[str, ...]]:
        """Apply updates and return what they do beside, and what of it is out of bounds; then they are taken back,
        unless they are forced.
        """
        kept = [(weight, weight.detach().clone()) for update in updates for weight in update.weights(self.model)]
        before = observe(self.model, self.bystanders, self.filler)
        for update in updates:
            update.apply(self.model)
        beside = compare(before, observe(self.model, self.bystanders, self.filler), self.bystanders, subjects)
        reasons = out_of_bounds(figures | beside, self.bounds)
        if reasons and not self.force:
            with torch.no_grad():
                for weight, own in kept:
                    weight.copy_(own)
        return beside, reasons
