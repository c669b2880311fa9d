"""Facts that a model knows, traced; those whose answer is another word have nothing in it to be traced."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from tasks.algorithms.editing.causal_tracing import STATES, State, Trace, embedding_noise, trace
from tasks.algorithms.editing.knowledge import answer_of
from tasks.algorithms.editing.prompts import EditPrompt, edit_prompt
from tasks.settings.edit_request import SUBJECT, EditRequest
from tasks.settings.tracing import TracingConfig


@dataclass(frozen=True, kw_only=True)
class KnownFact:
    """One fact that a model knows."""

    request: EditRequest
    prompt: EditPrompt
    said: str
    """What the model says after the prompt."""
    trace: Trace


def trace_known(
    model: nn.Module,
    tokenizer: Any,
    requests: Sequence[EditRequest],
    config: TracingConfig,
    *,
    states: Sequence[State] = STATES,
    at_subject: bool = False,
    on_fact: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[list[KnownFact], list[EditRequest]]:
    """Trace the first `config.facts` facts that a model knows.

    Args:
        model: A causal language model of a known type, in evaluation mode.
        tokenizer: Its tokenizer.
        requests: Facts as edits whose targets are not read. One is known where the model's first choices after the
            prompt are the object's tokens; where no object is named, whatever the model says is the fact.
        config: Noise, draws, window, facts.
        states: What is put back.
        at_subject: Put states back at the subject's last token alone, where a fact is looked up, and noise on every
            mention of the subject; else at all tokens, and noise on the mention in `{}`.
        on_fact: Called after each traced fact: how many are done, of how many at most.

    Returns:
        What is known, with its traces, and what was asked for on the way and is not known; both in their order.
    """
    known: list[KnownFact] = []
    unknown: list[EditRequest] = []
    wanted = min(config.facts, len(requests))
    for request in requests:
        if len(known) == wanted:
            break
        answer = answer_of(model, tokenizer, request)
        if not answer.known:
            unknown.append(request)
            continue
        prompt = edit_prompt(tokenizer, request.prompt, request.subject)
        noise, start, tokens = None, prompt.subject[0], None
        if at_subject:
            mentions = _mentions(tokenizer, request)
            noise = sum(embedding_noise(model, span, len(prompt.ids), config) for span in mentions)
            start, tokens = mentions[0][0], [prompt.last_subject]
        corrupted = (start, prompt.subject[1])
        traced = trace(model, prompt.ids, corrupted, answer.token, config, states=states, noise=noise, tokens=tokens)
        traced = replace(traced, subject=prompt.subject)
        known.append(KnownFact(request=request, prompt=prompt, said=answer.text, trace=traced))
        on_fact(len(known), wanted)
    return known, unknown


def _mentions(tokenizer: Any, request: EditRequest) -> list[tuple[int, int]]:
    """Return the tokens [start, stop) of each mention of the subject in the prompt, in order."""
    text, subject = request.question, request.subject
    places = [match.start() for match in re.finditer(re.escape(subject), text)]
    prompts = [f"{text[:at]}{SUBJECT}{text[at + len(subject) :]}" for at in places]
    return [edit_prompt(tokenizer, prompt, subject).subject for prompt in prompts]
