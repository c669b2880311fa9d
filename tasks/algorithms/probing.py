"""What is put to a model to see what it knows: windows of text, answers to questions, and prompts to complete."""

from collections.abc import Sequence
from dataclasses import dataclass
from re import Pattern
from typing import Any, TypeVar

import torch
from torch import nn

from tasks.algorithms.anchors import find_anchors
from tasks.algorithms.blocks import AnchorSpan, encode, prefix_ids, token_spans
from tasks.algorithms.config import ProbingConfig
from tasks.algorithms.corpus import Document, render_prompt
from tasks.algorithms.labels import length_batches
from tasks.algorithms.metrics import ScoredSequence

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ProbeItem:
    """One sequence that is scored, and what it is."""

    split: str
    item: int
    variant: str
    """`text`, `answer`, `paraphrase` or `perturbed-0`, ..."""
    cluster: str
    """Fact or file: what the bootstrap draws."""
    sequence: ScoredSequence
    anchors: tuple[AnchorSpan, ...] = ()
    truncated: bool = False


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A text to complete and how it truly goes on."""

    split: str
    item: int
    kind: str
    """`cloze` or `question`."""
    prompt: str
    truth: str
    """The answer, or the text after the prompt."""
    cluster: str
    """Fact or file: what the bootstrap draws."""


def probe_items(
    split: str, documents: Sequence[Document], tokenizer: Any, template: str, expression: Pattern[str], config: ProbingConfig, context: int
) -> list[ProbeItem]:
    """Return everything of a split that is scored, at most `config.max_tokens` tokens of each kind."""
    window = min(config.window, context)
    prose = [item for document in documents if not document.is_question for item in _windows(split, document, tokenizer, expression, window)]
    questions = [document for document in documents if document.is_question]
    asked = [item for number, document in enumerate(questions) for item in _answers(split, number, document, tokenizer, template, context)]
    return spaced(prose, max(1, config.max_tokens // window)) + asked


def spaced(items: Sequence[T], most: int) -> list[T]:
    """Return at most `most` items, evenly spaced over all of them."""
    return list(items) if len(items) <= most else [items[number * len(items) // most] for number in range(most)]


def _windows(split: str, document: Document, tokenizer: Any, expression: Pattern[str], window: int) -> list[ProbeItem]:
    ids, offsets = encode(tokenizer, document.text)
    spans = token_spans(offsets, find_anchors(document.text, expression), document.text)
    prefix, items = prefix_ids(tokenizer), []
    room = window - len(prefix)
    for start in range(0, len(ids), room):
        piece = prefix + tuple(ids[start : start + room])
        if len(piece) > 1:
            shift = len(prefix) - start
            inside = [span for span in spans if span.start >= start and span.end <= start + room]
            items.append(
                ProbeItem(
                    split=split,
                    item=start // room,
                    variant="text",
                    cluster=f"{document.source}:{start // room}",
                    sequence=ScoredSequence(ids=piece, start=max(1, len(prefix))),
                    anchors=tuple(AnchorSpan(start=span.start + shift, end=span.end + shift, term=span.term) for span in inside),
                )
            )
    return items


def _answers(split: str, number: int, document: Document, tokenizer: Any, template: str, context: int) -> list[ProbeItem]:
    variants = {"answer": document.answer, "paraphrase": document.paraphrased_answer}
    variants |= {f"perturbed-{index}": answer for index, answer in enumerate(document.perturbed_answer)}
    prompt = render_prompt(document, template)
    found = []
    for variant, answer in variants.items():
        if answer:
            sequence, truncated = answer_sequence(tokenizer, prompt, answer, context)
            cluster = document.fact or document.source
            found.append(ProbeItem(split=split, item=number, variant=variant, cluster=cluster, sequence=sequence, truncated=truncated))
    return found


def answer_sequence(tokenizer: Any, prompt: str, answer: str, context: int) -> tuple[ScoredSequence, bool]:
    """Return a question with its answer, only the answer's tokens scored, cut on the left where the context is too small.

    Returns:
        The sequence, and whether it was cut.
    """
    joined = prompt if prompt[-1:].isspace() else prompt + " "
    ids, offsets = encode(tokenizer, joined + answer)
    first = next(index for index, (_, end) in enumerate(offsets) if end > len(joined))
    prefix = prefix_ids(tokenizer)
    cut = max(0, len(prefix) + len(ids) - context)
    kept = prefix + tuple(ids[cut:])
    return ScoredSequence(ids=kept, start=max(1, first - cut + len(prefix))), cut > 0


def make_prompts(split: str, documents: Sequence[Document], template: str, expression: Pattern[str] | None, config: ProbingConfig) -> list[Prompt]:
    """Return prompts of a split: questions as they are, prose cut right before an anchor (or anywhere, without `expression`)."""
    found = []
    questions = [document for document in documents if document.is_question]
    for item, document in enumerate(questions):
        cluster, prompt = document.fact or document.source, render_prompt(document, template)
        found.append(Prompt(split=split, item=item, kind="question", prompt=prompt, truth=document.answer, cluster=cluster))
    for document in documents:
        for at in _cut_points(document.text, expression, config):
            head = document.text[:at].split(" ")
            prompt, truth = " ".join(head[-config.prompt_words :]).rstrip(), " ".join(document.text[at:].split()[: config.new_tokens])
            if prompt.strip() and truth:
                found.append(Prompt(split=split, item=len(found), kind="cloze", prompt=prompt, truth=truth, cluster=f"{document.source}:{at}"))
    return spaced(found, config.prompts)


def _cut_points(text: str, expression: Pattern[str] | None, config: ProbingConfig) -> list[int]:
    least = 4 * config.prompt_words
    if expression is not None:
        return [start for start, _ in find_anchors(text, expression) if start >= least]
    return [at for at in range(least, len(text), least * 4) if text[at - 1] == " "] or [
        text.rindex(" ", 0, at) + 1 for at in range(least, len(text), least * 4)
    ]


@torch.no_grad()
def complete(model: nn.Module, tokenizer: Any, prompts: Sequence[str], config: ProbingConfig, pad_id: int, context: int) -> list[str]:
    """Continue every prompt greedily, in batches of like length, with a key-value cache.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer.
        prompts: Texts to continue; cut on the left where they leave no room in the context.
        config: Number of new tokens.
        pad_id: Filler; masked.
        context: Positions that the model has.

    Returns:
        What the model adds to each prompt, special tokens left out.
    """
    prefix, room = prefix_ids(tokenizer), context - config.new_tokens
    encoded = [list(prefix) + encode(tokenizer, prompt)[0][-(room - len(prefix)) :] for prompt in prompts]
    results = [""] * len(prompts)
    for batch in length_batches([len(ids) for ids in encoded], 4096):
        width = max(len(encoded[index]) for index in batch)
        ids = torch.tensor([[pad_id] * (width - len(encoded[index])) + encoded[index] for index in batch], device=model.device)
        mask = torch.tensor([[0] * (width - len(encoded[index])) + [1] * len(encoded[index]) for index in batch], device=model.device)
        made = model.generate(input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=config.new_tokens, pad_token_id=pad_id, use_cache=True)
        for index, row in zip(batch, made[:, width:], strict=True):
            results[index] = tokenizer.decode(row, skip_special_tokens=True)
    return results
