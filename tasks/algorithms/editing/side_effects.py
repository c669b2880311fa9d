"""What an edit does beside what it is for: to ordinary text, to other facts, to the size of the weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from tasks.algorithms.assistants.fact_reader import holds
from tasks.algorithms.editing.rome import Update
from tasks.algorithms.measuring.metrics import ScoredSequence, bounded_exp, score_sequences
from tasks.algorithms.models.activations import logits_of
from tasks.algorithms.models.architectures import mlp_output
from tasks.algorithms.models.heads import last_hidden
from tasks.algorithms.text.spacing import spaced
from tasks.algorithms.tokens.alignment import encode, prefix_ids
from tasks.algorithms.tokens.batching import pad_batch
from tasks.settings.edit_request import EditRequest
from tasks.settings.rank_one_editing import EditBounds


@dataclass(frozen=True, kw_only=True)
class Bystanders:
    """What an edit is to leave alone, in tokens."""

    text: tuple[ScoredSequence, ...]
    prompts: tuple[tuple[int, ...], ...]
    """Of other facts."""
    texts: tuple[str, ...]
    """The same as text, to leave out those that name an edit's subject."""


@dataclass(frozen=True, kw_only=True)
class State:
    """How bystanders are at one moment."""

    nats: float
    """Loss of the text, nats a token; NaN without text."""
    answers: tuple[int, ...]
    """First choice after each prompt."""


def gather_bystanders(
    tokenizer: Any, requests: Sequence[EditRequest], rows: Sequence[Sequence[int]], bounds: EditBounds
) -> Bystanders:
    """Return ordinary text and prompts of other facts, each once, evenly chosen, as many as the bounds want.

    Args:
        tokenizer: The model's.
        requests: Their neighborhoods, name sharers and unrelated statements are other facts.
        rows: Ordinary text in tokens.
        bounds: How much of each.
    """
    prompts = [
        prompt
        for request in requests
        for prompt in (*request.neighborhood, *(each.prompt for each in (*request.name_sharers, *request.unrelated)))
    ]
    chosen = spaced(list(dict.fromkeys(prompts)), bounds.facts)
    special, text, tokens = prefix_ids(tokenizer), [], 0
    for row in rows:
        if tokens >= bounds.tokens or len(row) < 2:
            continue
        cut = tuple(row[: bounds.tokens - tokens + 1])
        text.append(ScoredSequence(ids=cut, start=1))
        tokens += len(cut) - 1
    return Bystanders(
        text=tuple(text),
        # without what some tokenizers put after a text: the answer is what follows the prompt itself
        prompts=tuple((*special, *encode(tokenizer, prompt)[0]) for prompt in chosen),
        texts=tuple(chosen),
    )


@torch.no_grad()
def observe(model: nn.Module, bystanders: Bystanders, filler: int) -> State:
    """Return how the bystanders are with the model's weights as they are now."""
    scores = score_sequences(model, list(bystanders.text), filler) if bystanders.text else []
    logs = [float(value) for table in scores for value in table[:, 0]]
    answers: list[int] = []
    for start in range(0, len(bystanders.prompts), 64):
        rows = bystanders.prompts[start : start + 64]
        ids, mask = pad_batch(rows, filler)
        ids, mask = ids.to(next(model.parameters()).device), mask.to(next(model.parameters()).device)
        ends = mask.sum(dim=1) - 1
        last = last_hidden(model, ids, mask)[torch.arange(len(rows), device=ids.device), ends]
        answers += logits_of(model, last).argmax(dim=-1).tolist()
    return State(nats=-sum(logs) / len(logs) if logs else float("nan"), answers=tuple(answers))


def compare(before: State, after: State, bystanders: Bystanders, subjects: frozenset[str]) -> dict[str, float]:
    """Return the ratio of perplexities and the share of other facts whose answer changed, prompts that name one of
    `subjects` left out; what was not measured is left out too.
    """
    ratio = bounded_exp(after.nats - before.nats)
    changed = [
        one != other
        for one, other, text in zip(before.answers, after.answers, bystanders.texts, strict=True)
        if not any(holds(text, subject) for subject in subjects)
    ]
    found = {} if before.nats != before.nats else {"perplexity_ratio": ratio}
    return found | ({"changed_share": sum(changed) / len(changed)} if changed else {})


def relative_size(model: nn.Module, updates: Sequence[Update]) -> float:
    """Return the largest |Delta W| / |W| of the layers that are changed, in Frobenius norm."""
    return max(
        update.norm / mlp_output(model, update.layer).weight.detach().double().norm().item() for update in updates
    )


def bounds_from(good: Sequence[dict[str, float]], room: float = 1.5) -> EditBounds:
    """Return the bounds that good edits set: the largest that any of them does beside, and some room above it.

    Args:
        good: Side effects of each of them, as `Session.edit` reports them; about a hundred tell enough.
        room: Factor above the largest, for what a ratio of perplexities has above 1.

    Raises:
        ValueError: If there are none.
    """
    if not good:
        raise ValueError("there are no good edits to set bounds from; wanted at least one")
    most = {name: max(figures[name] for figures in good if name in figures) for name in {*good[0]}}
    usual = EditBounds()
    return replace(
        usual,
        largest_update=room * most.get("update_share", usual.largest_update / room),
        largest_perplexity_ratio=1 + room * max(0.0, most.get("perplexity_ratio", 1.0) - 1),
        most_changed=min(1.0, room * most.get("changed_share", usual.most_changed / room)),
    )


def out_of_bounds(figures: dict[str, float], bounds: EditBounds) -> tuple[str, ...]:
    """Return in words what is out of bounds: nothing, for an edit that is not disabling."""
    limits = {
        "update_share": ("|Delta W| is {:.3g} of |W|", bounds.largest_update, "bounds.largest_update"),
        "perplexity_ratio": (
            "perplexity of ordinary text is {:.3g}x",
            bounds.largest_perplexity_ratio,
            "bounds.largest_perplexity_ratio",
        ),
        "changed_share": ("{:.0%} of other facts are answered otherwise", bounds.most_changed, "bounds.most_changed"),
    }
    return tuple(
        f"{words.format(figures[name])}; wanted at most {limit:g} ({setting})"
        for name, (words, limit, setting) in limits.items()
        if name in figures and not figures[name] <= limit
    )


def weakness(nats: float, bounds: EditBounds) -> tuple[str, ...]:
    """Return in words that an edit does not take, where its target costs more than `bounds.most_nats`."""
    if nats <= bounds.most_nats:
        return ()
    return (
        f"the new object still costs {nats:.3g} nats a token; wanted at most {bounds.most_nats:g} (bounds.most_nats)",
    )
