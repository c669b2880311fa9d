"""Facts that a model knows, traced; those whose answer is another word have nothing in it to be traced."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from tasks.algorithms.editing.causal_tracing import STATES, State, Trace, trace
from tasks.algorithms.editing.knowledge import answer_of
from tasks.algorithms.editing.prompts import EditPrompt, edit_prompt
from tasks.settings.edit_request import EditRequest
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
        traced = trace(model, prompt.ids, prompt.subject, answer.token, config, states=states)
        known.append(KnownFact(request=request, prompt=prompt, said=answer.text, trace=traced))
        on_fact(len(known), wanted)
    return known, unknown
