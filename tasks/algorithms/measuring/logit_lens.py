"""A look inside: whether an object that a model no longer says can still be read off its states.

    lens(h) = head(final norm(h)),  h: the residual stream after a layer

The object is *in sight* where its first token is among the likeliest TOP of the lens after any layer, at the prompt's
last token or at the subject's last one. An edit that only turns away what is said at the end leaves it in sight.

Source:
    Patil, Hase & Bansal 2023, arXiv:2309.17410 (the logit lens attack). Deviation: two positions, where the fact is
    written and where it is read; the paper looks at the last one alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tasks.algorithms.measuring.edit_questions import object_sequence
from tasks.algorithms.models.activations import keep, logits_of, pad_left, resume
from tasks.algorithms.models.architectures import decoder_layers
from tasks.algorithms.shapes import Float, Int
from tasks.algorithms.tokens.alignment import encode, prefix_ids
from tasks.settings.edit_request import SUBJECT, EditRequest

TOP = 20
"""Tokens of the lens that an attacker would try, after each layer."""
ROWS = 32
"""Prompts in one pass."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """A prompt in tokens, where its states are read, and what is looked for."""

    ids: tuple[int, ...]
    places: tuple[int, int]
    """The subject's last token, and the prompt's; the latter twice where the context has no room for the subject."""
    token: int
    """The object's first."""


@dataclass(frozen=True, kw_only=True)
class LensRank:
    """How near an edit's old object comes to the top of the lens."""

    request: int
    """Place of the request among all."""
    rank: int
    """The best one over layers and places: how many tokens are likelier; 0 at the very top."""

    @property
    def in_sight(self) -> bool:
        """Whether the object is among the first TOP."""
        return self.rank < TOP


def look_at(tokenizer: Any, request: EditRequest, context: int) -> Look:
    """Return where a request's object is looked for.

    Args:
        tokenizer: A fast tokenizer.
        request: With an object.
        context: Positions that the model has; a longer prompt is cut on the left.
    """
    prefix = prefix_ids(tokenizer)
    sequence = object_sequence(prefix, tokenizer, request.question, request.object, context)
    ids, offsets = encode(tokenizer, f"{request.question.rstrip()} {request.object.strip()}")
    end = len(request.prompt.partition(SUBJECT)[0]) + len(request.subject.rstrip())
    cut, last = len(prefix) + len(ids) - len(sequence.ids), sequence.start - 1
    subject = next(index for index, (_, stop) in enumerate(offsets) if stop >= end) + len(prefix) - cut
    place = min(subject, last) if subject >= len(prefix) else last
    return Look(ids=sequence.ids[: sequence.start], places=(place, last), token=sequence.ids[sequence.start])


def lens_ranks(
    model: nn.Module, tokenizer: Any, requests: Sequence[EditRequest], places: Sequence[int], context: int, pad_id: int
) -> list[LensRank]:
    """Return the best rank of the old object of each request that names one.

    Args:
        model: A causal language model of a known type.
        tokenizer: Its tokenizer.
        requests: The edits.
        places: Which of them are looked at.
        context: Positions that the model has.
        pad_id: Filler token.
    """
    chosen = [place for place in places if requests[place].object.strip()]
    looks = [look_at(tokenizer, requests[place], context) for place in chosen]
    best = [rank for start in range(0, len(looks), ROWS) for rank in _best(model, looks[start : start + ROWS], pad_id)]
    return [LensRank(request=place, rank=rank) for place, rank in zip(chosen, best, strict=True)]


def _best(model: nn.Module, looks: Sequence[Look], pad_id: int) -> list[int]:
    tokens = torch.tensor([look.token for look in looks], device=next(model.parameters()).device)
    ranks = [token_ranks(logits, tokens) for logits in lens_logits(model, looks, pad_id)]
    return torch.stack(ranks).amin(dim=(0, 2)).tolist()


@torch.no_grad()
def lens_logits(model: nn.Module, looks: Sequence[Look], pad_id: int) -> Iterator[Float[Tensor, "rows 2 vocab"]]:
    """Yield what the lens shows after each layer, the first one first, at the places of each row."""
    device, depth = next(model.parameters()).device, len(decoder_layers(model))
    ids, mask = (each.to(device) for each in pad_left([look.ids for look in looks], pad_id))
    width = ids.shape[1]
    columns = torch.tensor([[width - len(look.ids) + place for place in look.places] for look in looks], device=device)
    kept, rows = keep(model, ids, mask), torch.arange(len(looks), device=device)[:, None]
    for hidden in kept.inputs[1:]:
        yield logits_of(model, resume(model, kept, depth, hidden)[rows, columns])


def token_ranks(logits: Float[Tensor, "rows places vocab"], tokens: Int[Tensor, " rows"]) -> Int[Tensor, "rows places"]:
    """Return how many tokens are likelier than each row's own."""
    own = logits.gather(-1, tokens[:, None, None].expand(-1, logits.shape[1], 1))
    return (logits > own).sum(-1)
