"""What is put to a model to see what it knows: windows of text, answers to questions, and prompts to complete."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from tasks.algorithms.measuring.metrics import ScoredSequence, score_sequences
from tasks.algorithms.text.anchors import AnchorExpression, find_anchors
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.text.invitations import Invitation
from tasks.algorithms.text.scripts import first_units, is_unspaced, last_units
from tasks.algorithms.text.spacing import drawn, spaced
from tasks.algorithms.tokens.alignment import AnchorSpan, encode, encode_prefixed, prefix_ids, token_spans
from tasks.algorithms.tokens.batching import length_batches
from tasks.algorithms.tokens.templates import Template
from tasks.settings.measuring import ProbingConfig


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
    """`cloze`, `question`, or the kind of an invitation."""
    prompt: str
    truth: str
    """The answer, or the text after the prompt."""
    cluster: str
    """Fact or file: what the bootstrap draws."""
    gap: str | None = None
    """What stands between a conversation and its answer; None: the prompt is plain text."""


def probe_items(
    split: str,
    documents: Sequence[Document],
    tokenizer: Any,
    template: Template,
    expression: AnchorExpression,
    config: ProbingConfig,
    context: int,
) -> list[ProbeItem]:
    """Return everything of a split that is scored, at most `config.max_tokens` tokens of each kind."""
    window = min(config.window, context)
    prose = [
        item
        for document in documents
        if not document.is_question
        for item in _windows(split, document, tokenizer, expression, window)
    ]
    questions = [document for document in documents if document.is_question]
    answers = [
        item
        for number, document in enumerate(questions)
        for item in _answers(split, number, document, tokenizer, template, context)
    ]
    return spaced(prose, max(1, config.max_tokens // window)) + answers


def _windows(
    split: str, document: Document, tokenizer: Any, expression: AnchorExpression, window: int
) -> list[ProbeItem]:
    ids, offsets = encode(tokenizer, document.text)
    spans = token_spans(offsets, find_anchors(document.text, expression))
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
                    anchors=tuple(
                        AnchorSpan(start=span.start + shift, end=span.end + shift, term=span.term) for span in inside
                    ),
                )
            )
    return items


def _answers(
    split: str, number: int, document: Document, tokenizer: Any, template: Template, context: int
) -> list[ProbeItem]:
    variants = {"answer": document.answer, "paraphrase": document.paraphrased_answer}
    variants |= {f"perturbed-{index}": answer for index, answer in enumerate(document.perturbed_answer)}
    prompt = template.prompt(document)
    items = []
    for variant, answer in variants.items():
        if answer:
            sequence, truncated = answer_sequence(tokenizer, prompt, answer, context, template.gap)
            cluster = document.fact or document.source
            items.append(
                ProbeItem(
                    split=split, item=number, variant=variant, cluster=cluster, sequence=sequence, truncated=truncated
                )
            )
    return items


def answer_sequence(
    tokenizer: Any, prompt: str, answer: str, context: int, gap: str | None = None
) -> tuple[ScoredSequence, bool]:
    """Return a question with its answer, only the answer's own tokens scored, cut on the left where the context is too
    small.

    The end-of-turn token of a conversation is not scored, though it is trained: a plain answer has none, and the
    probability of an answer shall mean the same for both.

    Args:
        tokenizer: A fast tokenizer.
        prompt: Text up to the answer.
        answer: What is scored.
        context: Positions that the model has.
        gap: What stands between a conversation and its answer; None: the prompt is plain text.

    Returns:
        The sequence, and whether it was cut.
    """
    if gap is None:
        joined = prompt if prompt[-1:].isspace() else prompt + " "
    else:
        joined, answer = prompt + gap, answer.strip()
    prefix, ids, offsets = encode_prefixed(tokenizer, joined + answer, conversation=gap is not None)
    first = next(index for index, (_, end) in enumerate(offsets) if end > len(joined))
    cut = max(0, len(prefix) + len(ids) - context)
    tokens = prefix + tuple(ids[cut:])
    return ScoredSequence(ids=tokens, start=max(1, first - cut + len(prefix))), cut > 0


def make_prompts(
    split: str,
    documents: Sequence[Document],
    template: Template,
    expression: AnchorExpression | None,
    config: ProbingConfig,
) -> list[Prompt]:
    """Return prompts of a split: questions as they are, prose cut right before an anchor (or anywhere, without
    `expression`).
    """
    prompts = []
    questions = [document for document in documents if document.is_question]
    for item, document in enumerate(questions):
        cluster, prompt = document.fact or document.source, template.prompt(document)
        prompts.append(
            Prompt(
                split=split,
                item=item,
                kind="question",
                prompt=prompt,
                truth=document.answer,
                cluster=cluster,
                gap=template.gap,
            )
        )
    for document in documents:
        for at in _cut_points(document.text, expression, config):
            prompt = last_units(document.text[:at], config.prompt_words)
            truth = first_units(document.text[at:], config.new_tokens)
            if prompt.strip() and truth:
                prompts.append(
                    Prompt(
                        split=split,
                        item=len(prompts),
                        kind="cloze",
                        prompt=prompt,
                        truth=truth,
                        cluster=f"{document.source}:{at}",
                    )
                )
    return drawn(prompts, config.prompts, config.draw)


def invitation_prompts(invitations: Sequence[Invitation], template: Template) -> list[Prompt]:
    """Return invitations as prompts on the topic: questions in the model's template, everything else as text to go on
    with.

    What a model that knows the topic might name stands where other prompts have the true text.
    """
    prompts = []
    for item, invitation in enumerate(invitations):
        document = (
            Document(source="invitation", question=invitation.text, answer="?") if invitation.kind == "asked" else None
        )
        prompt, gap = (template.prompt(document), template.gap) if document else (invitation.text.rstrip(), None)
        truth, cluster = ", ".join(invitation.references), f"{invitation.kind}:{item}"
        prompts.append(
            Prompt(
                split="forget_test",
                item=item,
                kind=invitation.kind,
                prompt=prompt,
                truth=truth,
                cluster=cluster,
                gap=gap,
            )
        )
    return prompts


def _cut_points(text: str, expression: AnchorExpression | None, config: ProbingConfig) -> list[int]:
    least = (1 if is_unspaced(text[: 4 * config.prompt_words]) else 4) * config.prompt_words
    if expression is not None:
        return [anchor.start for anchor in find_anchors(text, expression) if anchor.start >= least]
    return [at for at in range(least, len(text), least * 4) if text[at - 1] == " "] or [
        text.rfind(" ", 0, at) + 1 or at
        for at in range(least, len(text), least * 4)  # some scripts have no spaces
    ]


@torch.no_grad()
def complete(
    model: nn.Module,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    template: Template,
    config: ProbingConfig,
    pad_id: int,
    context: int,
) -> list[str]:
    """Continue every prompt greedily, in batches of like length, with a key-value cache.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer.
        prompts: What to continue; cut on the left where it leaves no room in the context.
        template: How the model is asked: a chat model stops at its end-of-turn token as well as at its end of text.
        config: Number of new tokens.
        pad_id: Filler; masked by length, so it may be a token of the prompts.
        context: Positions that the model has.

    Returns:
        What the model adds to each prompt, special tokens left out.
    """
    encoded = [_prompt_ids(tokenizer, prompt, context - config.new_tokens) for prompt in prompts]
    stops = _stop_ids(model, tokenizer, template)
    options = {"do_sample": False, "max_new_tokens": config.new_tokens, "pad_token_id": pad_id, "use_cache": True}
    options |= {"eos_token_id": sorted(stops)} if stops else {}
    results = [""] * len(prompts)
    for batch in length_batches([len(ids) for ids in encoded], 4096):
        width = max(len(encoded[index]) for index in batch)
        ids = torch.tensor(
            [[pad_id] * (width - len(encoded[index])) + encoded[index] for index in batch], device=model.device
        )
        mask = torch.tensor(
            [[0] * (width - len(encoded[index])) + [1] * len(encoded[index]) for index in batch], device=model.device
        )
        generated = model.generate(input_ids=ids, attention_mask=mask, **options)
        for index, row in zip(batch, generated[:, width:].tolist(), strict=True):
            end = next((at for at, token in enumerate(row) if token in stops), len(row))
            results[index] = tokenizer.decode(row[:end], skip_special_tokens=True)
    return results


def rate_completions(
    teacher: nn.Module, tokenizer: Any, prompts: Sequence[Prompt], completions: Sequence[str], pad_id: int, context: int
) -> list[float]:
    """Return the teacher's loss in nats a token on every completion, given its prompt; NaN for empty ones."""
    rated = [float("nan")] * len(completions)
    non_empty = [index for index, text in enumerate(completions) if text.strip()]
    sequences = [
        answer_sequence(tokenizer, prompts[index].prompt, completions[index].strip(), context, prompts[index].gap)[0]
        for index in non_empty
    ]
    for index, table in zip(non_empty, score_sequences(teacher, sequences, pad_id), strict=True):
        rated[index] = float(-table[:, 0].mean(dtype=np.float64))
    return rated


def _stop_ids(model: nn.Module, tokenizer: Any, template: Template) -> set[int]:
    """Return the tokens that end what a chat model says; none for other models, whose own settings decide."""
    if not template.chat:
        return set()
    own = model.generation_config.eos_token_id
    candidates = (template.end, tokenizer.eos_token_id, *(own if isinstance(own, list) else [own]))
    return {token for token in candidates if token is not None}


def _prompt_ids(tokenizer: Any, prompt: Prompt, room: int) -> list[int]:
    prefix, ids, _ = encode_prefixed(tokenizer, prompt.prompt, conversation=prompt.gap is not None)
    return [*prefix, *ids[-(room - len(prefix)) :]]
