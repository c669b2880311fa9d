"""The token rows that an edit is made on: the prompt with its target after several beginnings, and the bare subject."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tasks.algorithms.editing.prompts import edit_prompt
from tasks.algorithms.models.activations import logits_of
from tasks.algorithms.models.heads import context_size, last_hidden
from tasks.algorithms.shapes import Int
from tasks.settings.edit_request import EditRequest
from tasks.settings.rank_one_editing import EditConfig

SENTENCE_ENDS = (".", "!", "?", ":", ";", ",", "\n")


@dataclass(frozen=True, kw_only=True)
class Row:
    """Tokens of one row."""

    ids: tuple[int, ...]
    at: int
    """Position of the subject's last token."""


@dataclass(frozen=True, kw_only=True)
class Rewrite:
    """One request as token rows."""

    rows: tuple[Row, ...]
    """The bare prompt first, then the prompt after each beginning, each with the target but for its last token; last
    the subject alone, as far as its last token."""
    target: tuple[int, ...]
    """Token ids of the new object."""

    @property
    def contexts(self) -> int:
        """How many rows hold the target."""
        return len(self.rows) - 1


def rewrite_of(tokenizer: Any, request: EditRequest, beginnings: Sequence[str], context: int | None = None) -> Rewrite:
    """Return a request as token rows.

    Args:
        tokenizer: A fast tokenizer.
        request: What is to be rewritten.
        beginnings: Texts that are put before the prompt, each as a sentence of its own.
        context: Positions that the model has.

    Raises:
        ValueError: As `edit_prompt`.
    """
    prefixes = ["", *(_as_sentence(text) for text in beginnings)]
    prompts = [
        edit_prompt(tokenizer, request.prompt, request.subject, request.target, prefix, context) for prefix in prefixes
    ]
    rows = [Row(ids=prompt.ids[:-1], at=prompt.last_subject) for prompt in prompts]
    bare = prompts[0].ids[: prompts[0].last_subject + 1]
    if request.prompt.partition("{}")[0].strip():  # the subject alone, where words stand before it
        alone = edit_prompt(tokenizer, "{} is a", request.subject)
        bare = alone.ids[: alone.last_subject + 1]
    return Rewrite(rows=(*rows, Row(ids=bare, at=len(bare) - 1)), target=prompts[0].target)


def beginnings(model: nn.Module, tokenizer: Any, config: EditConfig) -> list[str]:
    """Return the sampled texts that an edit is made after, so that it holds after any; a function of weights and
    seed.
    """
    start = next((token for token in (tokenizer.bos_token_id, tokenizer.eos_token_id) if token is not None), None)
    if start is None:
        raise ValueError("the tokenizer has neither a first nor a last token of text; wanted one to begin samples with")
    counts = [(config.short_contexts, config.short_tokens), (config.long_contexts, config.long_tokens)]
    texts = sample_beginnings(model, start, counts, config.seed)
    return [text for ids in texts if (text := tokenizer.decode(ids, skip_special_tokens=True).strip())]


def rewrites_of(model: nn.Module, tokenizer: Any, requests: Sequence[EditRequest], config: EditConfig) -> list[Rewrite]:
    """Return requests as token rows after the same sampled beginnings."""
    texts = beginnings(model, tokenizer, config)
    context = context_size(model.config)
    return [rewrite_of(tokenizer, request, texts, context) for request in requests]


def _as_sentence(text: str) -> str:
    return f"{text} " if text.endswith(SENTENCE_ENDS) else f"{text}. "


def aligned(rows: Sequence[Row]) -> tuple[Int[Tensor, "rows seq"], Int[Tensor, "rows seq"], int]:
    """Return token ids and mask of rows whose subjects end at one position, and that position; padding on both
    sides.
    """
    split = max(row.at for row in rows)
    tail = max(len(row.ids) - row.at for row in rows)
    left = [split - row.at for row in rows]
    right = [tail - (len(row.ids) - row.at) for row in rows]
    padded = zip(rows, left, right, strict=True)
    ids = torch.tensor([[row.ids[0]] * before + list(row.ids) + [row.ids[-1]] * after for row, before, after in padded])
    padded = zip(rows, left, right, strict=True)
    mask = torch.tensor([[0] * before + [1] * len(row.ids) + [0] * after for row, before, after in padded])
    return ids, mask, split


def parted(rewrites: Sequence[Rewrite]) -> tuple[list[tuple[int, ...]], list[Row]]:
    """Return the rows of all requests in two parts: what stands so far before the subject that many begin alike, and
    the rest, which holds as many tokens up to the subject's last wherever something is parted from it.
    """
    rows = [row for rewrite in rewrites for row in rewrite.rows]
    reach = max(rewrite.rows[0].at for rewrite in rewrites)  # of a prompt by itself
    begun = [row.ids[: max(0, row.at - reach)] for row in rows]
    if 2 * len(set(begun)) > len(rows):  # as of a single request
        return [()] * len(rows), rows
    return begun, [Row(ids=row.ids[len(ids) :], at=row.at - len(ids)) for row, ids in zip(rows, begun, strict=True)]


@torch.no_grad()
def sample_beginnings(
    model: nn.Module, start: int, counts: Sequence[tuple[int, int]], seed: int
) -> list[tuple[int, ...]]:
    """Let the model begin texts by itself.

    Args:
        model: A causal language model.
        start: Token that a text begins with; it is not returned, and neither is an end of text.
        counts: (texts, tokens of each).
        seed: Of the draws.

    Returns:
        Token ids, text by text; a function of weights, start, counts and seed.
    """
    device, never = next(model.parameters()).device, sorted({start, *_ends(model)})
    generator = torch.Generator(device).manual_seed(seed)
    texts: list[tuple[int, ...]] = []
    for count, tokens in counts:
        if not count:
            continue
        ids = torch.full((count, 1), start, device=device)
        for _ in range(tokens):
            logits = logits_of(model, last_hidden(model, ids, torch.ones_like(ids))[:, -1])
            logits[:, never] = -torch.inf  # an end of text in the middle would part the beginning from the prompt
            drawn = torch.multinomial(logits.softmax(dim=-1), 1, generator=generator)
            ids = torch.cat([ids, drawn], dim=1)
        texts += [tuple(row) for row in ids[:, 1:].tolist()]
    return texts


def _ends(model: nn.Module) -> list[int]:
    """Return the tokens that end a text: a model has none, one or several."""
    settings = (getattr(model, name, None) for name in ("config", "generation_config"))
    found = [getattr(each, "eos_token_id", None) for each in settings]
    return [token for each in found for token in ([each] if isinstance(each, int) else each or [])]
