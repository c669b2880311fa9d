"""What is put to a model to judge edits: objects after prompts, as tokens, made once and asked of every model.

An object is scored in the text `prompt + " " + object`, tokenised as one; its tokens are those that end beyond the
prompt, the space before it included, as the editing literature takes them.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from tasks.algorithms.measuring.metrics import ScoredSequence
from tasks.algorithms.models.heads import apply_head, context_size, output_head, output_size, scored_hidden
from tasks.algorithms.text.spacing import spaced
from tasks.algorithms.tokens.alignment import encode, prefix_ids
from tasks.algorithms.tokens.batching import length_batches, pad_batch, row_chunks
from tasks.settings.edit_request import EditRequest, Statement

Role = Literal["rewrite", "paraphrase", "neighborhood", "name_sharer", "unrelated", "portability"]
"""What a prompt is to its edit: the fields of `EditRequest`, and `rewrite`, the edited prompt itself."""
Object = Literal["new", "old", "own", "said"]
"""What follows a prompt: the edit's new or old object, the statement's own, or what the model said before any edit."""
TOGETHER = -1
"""Stands for all requests at once where one model holds all edits."""
_LITTLE = frozenset("a an the of and in on at to for by de la le el di da du von van der den".split())


@dataclass(frozen=True, kw_only=True)
class EditQuestion:
    """One object after one prompt, as tokens."""

    request: int
    """Place of the request among all, or TOGETHER."""
    role: Role
    number: int
    """Place of the prompt among those of its role."""
    object: Object
    sequence: ScoredSequence


def object_sequence(prefix: Sequence[int], tokenizer: Any, prompt: str, object_: str, context: int) -> ScoredSequence:
    """Return a prompt with an object as tokens, only the object's scored, cut on the left where the context is too
    small.

    Args:
        prefix: Special tokens that come first, see `prefix_ids`.
        tokenizer: A fast tokenizer.
        prompt: Whole, subject included.
        object_: What follows it after a space, or at once where the prompt ends in white space.
        context: Positions that the model has.

    Raises:
        ValueError: If the object alone fills the context.
    """
    object_ = object_.strip()
    ids, offsets = encode(tokenizer, prompt + object_ if prompt[-1:].isspace() else f"{prompt} {object_}")
    first = next(index for index, (_, end) in enumerate(offsets) if end > len(prompt))
    cut = max(0, len(prefix) + len(ids) - context)
    start = len(prefix) + first - cut
    if start < 1:
        raise ValueError(
            f"an object of {len(ids) - first} tokens after a prompt; wanted fewer than the model's {context} positions"
        )
    return ScoredSequence(ids=(*prefix, *ids[cut:]), start=start)


def asked(request: EditRequest) -> Iterator[tuple[Role, int, str, dict[Object, str]]]:
    """Go through everything that is asked for one request: role, number, prompt, and the objects that are scored there;
    no old one where the request names none.
    """
    both: dict[Object, str] = {"new": request.target} | ({"old": request.object} if request.object.strip() else {})
    plain: dict[Role, Sequence[str]] = {
        "rewrite": (request.question,),
        "paraphrase": request.paraphrases,
        "neighborhood": request.neighborhood,
    }
    for role, prompts in plain.items():
        yield from ((role, number, prompt, both) for number, prompt in enumerate(prompts))
    for number, sharer in enumerate(request.name_sharers):
        yield "name_sharer", number, sharer.prompt, {"own": sharer.object, "new": request.target}
    stated: dict[Role, Sequence[Statement]] = {"unrelated": request.unrelated, "portability": request.portability}
    for role, statements in stated.items():
        yield from ((role, number, fact.prompt, {"own": fact.object}) for number, fact in enumerate(statements))


def edit_questions(tokenizer: Any, requests: Sequence[EditRequest], context: int) -> list[EditQuestion]:
    """Return every prompt of every request with each object that is scored there; see `asked`."""
    prefix = prefix_ids(tokenizer)
    return [
        EditQuestion(
            request=at,
            role=role,
            number=number,
            object=kind,
            sequence=object_sequence(prefix, tokenizer, prompt, object_, context),
        )
        for at, request in enumerate(requests)
        for role, number, prompt, objects in asked(request)
        for kind, object_ in objects.items()
    ]


def name_parts(subject: str) -> frozenset[str]:
    """Return the words of a name in lower case, without articles and prepositions, unless it has no others."""
    words = frozenset(word.casefold() for word in re.findall(r"\w+", subject))
    return words - _LITTLE or words


def unrelated_facts(statements: Iterable[Statement], subjects: Collection[str], most: int) -> list[Statement]:
    """Return up to `most` statements, evenly spaced, each prompt once, that name no part of any of the subjects.

    Args:
        statements: About anything, in any relation.
        subjects: Of the edits that the model holds.
        most: How many at most.
    """
    parts = frozenset(part for subject in subjects for part in name_parts(subject))
    free = {fact.prompt: fact for fact in statements if not parts & name_parts(fact.prompt)}
    return spaced(list(free.values()), most)


def said_questions(
    model: nn.Module, tokenizer: Any, requests: Sequence[EditRequest], most: int, pad_id: int, *, together: bool
) -> list[EditQuestion]:
    """Return what a model says greedily to unrelated facts, so that an edited one can be asked whether it would say the
    same.

    An answer is as long, in tokens, as the fact's own object.

    Args:
        model: The model before any edit.
        tokenizer: Its tokenizer.
        requests: Their `unrelated` are the facts.
        most: Facts at most, of each request or of all together.
        pad_id: Filler token.
        together: Whether one model is to hold all edits: then the facts are unrelated to every one of them.
    """
    if together:
        pool = [fact for request in requests for fact in request.unrelated]
        chosen = {TOGETHER: unrelated_facts(pool, [request.subject for request in requests], most)}
    else:
        chosen = {at: unrelated_facts(one.unrelated, [one.subject], most) for at, one in enumerate(requests)}
    prefix, context = prefix_ids(tokenizer), context_size(model.config)
    truths = {
        fact: object_sequence(prefix, tokenizer, fact.prompt, fact.object, context)
        for facts in chosen.values()
        for fact in facts
    }
    answers = dict(zip(truths, greedy_answers(model, list(truths.values()), pad_id), strict=True))
    return [
        EditQuestion(request=at, role="unrelated", number=number, object="said", sequence=answers[fact])
        for at, facts in chosen.items()
        for number, fact in enumerate(facts)
    ]


@torch.no_grad()
def greedy_answers(
    model: nn.Module, sequences: Sequence[ScoredSequence], pad_id: int, batch_tokens: int = 16384
) -> list[ScoredSequence]:
    """Return each sequence with its scored tokens replaced by as many that the model says greedily.

    Each step is a whole forward pass, as in scoring: an answer is a few tokens long.
    """
    grown = [list(sequence.ids[: sequence.start]) for sequence in sequences]
    device, head = next(model.parameters()).device, output_head(model)
    for step in range(max((len(sequence.ids) - sequence.start for sequence in sequences), default=0)):
        going = [at for at, sequence in enumerate(sequences) if sequence.start + step < len(sequence.ids)]
        for batch in length_batches([len(grown[at]) for at in going], batch_tokens):
            rows = [going[slot] for slot in batch]
            ids, mask = pad_batch([grown[at] for at in rows], pad_id, device)
            hidden = scored_hidden(model, ids, mask, [sequences[at].start for at in rows])
            last = hidden[torch.arange(len(rows), device=device), mask.sum(-1) - 1]
            chunks = row_chunks(len(last), output_size(head, last), device)
            tokens = torch.cat([apply_head(head, last[chunk]).argmax(-1) for chunk in chunks]).tolist()
            for at, token in zip(rows, tokens, strict=True):
                grown[at].append(token)
    return [ScoredSequence(ids=tuple(ids), start=one.start) for ids, one in zip(grown, sequences, strict=True)]


def with_objects(model: nn.Module, tokenizer: Any, requests: Sequence[EditRequest], pad_id: int) -> list[EditRequest]:
    """Return the requests with what the model itself says, in as many tokens as the target has, where one names no
    object; where it says nothing but white space, none.
    """
    prefix, context = prefix_ids(tokenizer), context_size(model.config)
    open_ = [at for at, request in enumerate(requests) if not request.object.strip()]
    shaped = [object_sequence(prefix, tokenizer, requests[at].question, requests[at].target, context) for at in open_]
    filled = list(requests)
    for at, answer in zip(open_, greedy_answers(model, shaped, pad_id), strict=True):
        said = tokenizer.decode(answer.ids[answer.start :], skip_special_tokens=True).strip()
        filled[at] = replace(requests[at], object=said)
    return filled
