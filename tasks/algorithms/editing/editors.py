"""Every way to edit behind one interface: what each of several edits, alone on the model as it is, does to its weights.

    for changes, seconds in single_changes(model, tokenizer, requests, given):
        with edited(model, changes):
            ...                                      # W' of one edit; afterwards W again

Seconds are an edit's own: what is made once, such as MEND's network, is in none of them.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor, nn

from tasks.algorithms.editing.changes import Change
from tasks.algorithms.editing.contexts import rewrites_of
from tasks.algorithms.editing.finetuning import finetune
from tasks.algorithms.editing.knowledge_neurons import knowledge_neuron_updates
from tasks.algorithms.editing.memit import memit_layers, memit_updates
from tasks.algorithms.editing.mend import mend_updates, train_mend
from tasks.algorithms.editing.mend_examples import mend_examples
from tasks.algorithms.editing.prompts import edit_prompt
from tasks.algorithms.editing.single import single_updates
from tasks.algorithms.measuring.edit_questions import object_sequence
from tasks.algorithms.measuring.metrics import ScoredSequence
from tasks.algorithms.models.architectures import decoder_layers
from tasks.algorithms.models.heads import context_size
from tasks.algorithms.tokens.alignment import prefix_ids
from tasks.settings.edit_baselines import EditBaselinesConfig, EditFinetuningConfig
from tasks.settings.edit_request import EditRequest
from tasks.settings.rank_one_editing import Algorithm, EditConfig

One = TypeVar("One")
Made = tuple[Sequence[Change], float]
"""What one edit does to the weights, and the seconds that it took."""


@dataclass(frozen=True, kw_only=True)
class EditorInputs:
    """What editors are given beside the model and the edits; each reads what it needs."""

    config: EditConfig
    baselines: EditBaselinesConfig = EditBaselinesConfig()
    layer: int | None = None
    """The edited layer, of ROME, MEMIT and fine-tuning."""
    solve: Callable[[int], Callable[[Tensor], Tensor]] | None = None
    """Layer -> x -> C^-1 x of it, of ROME and MEMIT."""
    facts: Sequence[EditRequest] = ()
    """Other facts that the model knows, which MEND learns from."""
    on_step: Callable[[int, int], None] = lambda done, of: None
    """Called with the steps of what is made before the first edit, and how many there are."""


def single_changes(
    model: nn.Module, tokenizer: Any, requests: Sequence[EditRequest], given: EditorInputs
) -> Iterator[Made]:
    """Yield for each request, in order, what it does to the model as it is.

    Args:
        model: A causal language model of a known type, in evaluation mode; it is left as it was, and what the caller
            does to it between two of these is to be undone.
        tokenizer: Its tokenizer.
        requests: The edits, each with its present object.
        given: How, and what else is at hand.

    Raises:
        ValueError: If the model has no such layer, or MEND has nothing to learn from.
    """
    layers = len(decoder_layers(model))
    if given.layer is not None and given.layer >= layers:
        raise ValueError(f"layer is {given.layer}; wanted 0 to {layers - 1}, the model's layers")
    yield from _EDITORS[given.config.algorithm](model, tokenizer, requests, given)


def _rome(model: nn.Module, tokenizer: Any, requests: Sequence[EditRequest], given: EditorInputs) -> Iterator[Made]:
    solve = given.solve(given.layer)
    for update, _, seconds in single_updates(model, tokenizer, requests, given.layer, solve, given.config):
        yield [update], seconds


def _memit(model: nn.Module, tokenizer: Any, requests: Sequence[EditRequest], given: EditorInputs) -> Iterator[Made]:
    layers = memit_layers(given.layer, given.config.memit_layers)
    solves = [given.solve(layer) for layer in layers]
    rewrites = rewrites_of(model, tokenizer, requests, given.config)
    yield from _timed(rewrites, lambda rewrite: memit_updates(model, [rewrite], layers, solves, given.config)[0])


def _finetuning(part: Callable[[EditBaselinesConfig], EditFinetuningConfig]) -> "Editor":
    def editor(
        model: nn.Module, tokenizer: Any, requests: Sequence[EditRequest], given: EditorInputs
    ) -> Iterator[Made]:
        config = part(given.baselines)
        layer = given.layer if config.layer is None else config.layer
        statements = _statements(model, tokenizer, requests)
        yield from _timed(statements, lambda statement: [finetune(model, [statement], layer, config).change])

    return editor


def _neurons(model: nn.Module, tokenizer: Any, requests: Sequence[EditRequest], given: EditorInputs) -> Iterator[Made]:
    """A fact without an object has no neurons that say it, and stays as it is."""
    layers, context = range(len(decoder_layers(model))), context_size(model.config)

    def changes(stated: tuple[EditRequest, ScoredSequence]) -> Sequence[Change]:
        request, statement = stated
        if not request.object.strip():
            return []
        prompt = edit_prompt(tokenizer, request.prompt, request.subject, request.object, context=context)
        target = statement.ids[statement.start :]
        return knowledge_neuron_updates(model, [prompt], target, layers, given.baselines.knowledge_neurons)

    yield from _timed(zip(requests, _statements(model, tokenizer, requests), strict=True), changes)


def _mend(model: nn.Module, tokenizer: Any, requests: Sequence[EditRequest], given: EditorInputs) -> Iterator[Made]:
    config, subjects = given.baselines.mend, [request.subject for request in requests]
    examples = mend_examples(tokenizer, given.facts, subjects, context_size(model.config), config)
    mend = train_mend(model, examples, config, lambda step, _: given.on_step(step, config.steps))
    yield from _timed(_statements(model, tokenizer, requests), lambda statement: mend_updates(mend, model, [statement]))


def _statements(model: nn.Module, tokenizer: Any, requests: Sequence[EditRequest]) -> list[ScoredSequence]:
    """Return each prompt with its new object, which is scored."""
    prefix, context = prefix_ids(tokenizer), context_size(model.config)
    return [object_sequence(prefix, tokenizer, one.question, one.target, context) for one in requests]


def _timed(each: Iterable[One], make: Callable[[One], Sequence[Change]]) -> Iterator[Made]:
    for one in each:
        started = time.perf_counter()
        changes = make(one)
        yield changes, time.perf_counter() - started


Editor = Callable[[nn.Module, Any, Sequence[EditRequest], EditorInputs], Iterator[Made]]
_EDITORS: Mapping[Algorithm, Editor] = {
    "rome": _rome,
    "memit": _memit,
    "ft": _finetuning(lambda baselines: baselines.finetuning),
    "ft-l": _finetuning(lambda baselines: baselines.constrained),
    "kn": _neurons,
    "mend": _mend,
}
