"""What editing and tracing need of a prompt in tokens: where the subject stands, and where the object begins.

Prefix, prompt, gap and object are tokenized as one text and told apart by characters, since a tokenizer joins the gap
to the object's first word. As everywhere in the project, the tokenizer's own special tokens stand before the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.algorithms.measuring.metrics import ScoredSequence
from tasks.algorithms.text.anchors import AnchorMatch
from tasks.algorithms.tokens.alignment import encode_prefixed, require_offsets, token_spans
from tasks.settings.edit_request import SUBJECT, EditRequest

MOST_TARGET_TOKENS = 20
"""Tokens of a new object; what is longer is no object, and one value vector cannot carry it."""


@dataclass(frozen=True, kw_only=True)
class EditPrompt:
    """One text in tokens: context, subject, the words up to the object, and the object where there is one."""

    ids: tuple[int, ...]
    """All tokens, the tokenizer's special ones first."""
    subject: tuple[int, int]
    """Tokens [start, stop) that cover the subject."""
    target_start: int
    """First token of the object; `len(ids)` where there is none."""

    @property
    def last_subject(self) -> int:
        """Position of the subject's last token, at which a fact is read and written."""
        return self.subject[1] - 1

    @property
    def target(self) -> tuple[int, ...]:
        """Tokens of the object."""
        return self.ids[self.target_start :]


def edit_prompt(
    tokenizer: Any, prompt: str, subject: str, target: str = "", prefix: str = "", context: int | None = None
) -> EditPrompt:
    """Tokenize a prompt about a subject, and the object after it.

    Args:
        tokenizer: A fast tokenizer.
        prompt: The words up to the object, with `{}` once in the subject's place.
        subject: Whom or what it is about.
        target: The object; empty: none follows.
        prefix: Stands before the prompt as it is, with whatever parts them.
        context: Positions that the model has; None: no limit.

    Returns:
        The tokens, and where subject and object are. A token that holds a character of the subject counts as its own;
        the gap before the object is the object's, in one token with its first word or in one of its own, since the
        model is to say it too.

    Raises:
        ValueError: If the prompt does not have its `{}` once, the subject has no token, the object has none or more
            than MOST_TARGET_TOKENS, a token belongs to both, or the text does not fit into the context.
    """
    require_offsets(tokenizer)
    if prompt.count(SUBJECT) != 1:
        raise ValueError(f"the prompt {prompt!r} holds {SUBJECT} {prompt.count(SUBJECT)} times; wanted once")
    before, _, after = prompt.partition(SUBJECT)
    start = len(prefix) + len(before)
    head = f"{prefix}{before}{subject}{after}"
    text = _join(head, target) if target else head
    special, ids, offsets = encode_prefixed(tokenizer, text, conversation=False)
    target_start = _first_past(offsets, len(head))
    (span,) = token_spans(offsets, [AnchorMatch(start, start + len(subject), subject)])
    own = len(ids) - _first_past(offsets, len(text) - len(target.lstrip()))
    _check_tokens(prompt, subject, span.end - span.start, target, own)
    if span.end > target_start:
        raise ValueError(f"one token holds the end of {subject!r} and the beginning of {target!r}; wanted them apart")
    if context is not None and len(special) + len(ids) > context:
        raise ValueError(
            f"{prompt!r} with {subject!r} and {target!r} has {len(special) + len(ids)} tokens; wanted at most"
            f" {context}, the model's context"
        )
    return EditPrompt(
        ids=special + tuple(ids),
        subject=(len(special) + span.start, len(special) + span.end),
        target_start=len(special) + target_start,
    )


def statement_rows(tokenizer: Any, prompts: Sequence[str], objects: Sequence[str]) -> list[ScoredSequence]:
    """Return each prompt with its object as tokens, of which the object's own are scored, as `score_sequences` wants
    them.

    Args:
        tokenizer: A fast tokenizer.
        prompts: Whole prompts.
        objects: What follows each.

    Raises:
        ValueError: If there are not as many of both, or an object has no token.
    """
    require_offsets(tokenizer)
    return [_statement_row(tokenizer, prompt, object_) for prompt, object_ in zip(prompts, objects, strict=True)]


def check_tokens(tokenizer: Any, requests: Sequence[EditRequest], context: int | None = None) -> None:
    """Refuse requests that this tokenizer's model could not be edited by; nothing is computed.

    Raises:
        ValueError: As `edit_prompt`, with the request's name or its place.
    """
    for place, request in enumerate(requests, 1):
        try:
            edit_prompt(tokenizer, request.prompt, request.subject, request.target, context=context)
        except ValueError as error:
            raise ValueError(f"edit {request.name or place}: {error}") from None


def fitting(tokenizer: Any, requests: Sequence[EditRequest], context: int | None = None) -> list[EditRequest]:
    """Return the requests that this tokenizer's model could be edited by; see `check_tokens`."""

    def fits(request: EditRequest) -> bool:
        try:
            check_tokens(tokenizer, [request], context)
        except ValueError:
            return False
        return True

    return [request for request in requests if fits(request)]


def _join(head: str, target: str) -> str:
    """Put a space between a prompt and its object, unless white space stands there already."""
    return head + target if head[-1:].isspace() or target[:1].isspace() else f"{head} {target}"


def _first_past(offsets: Sequence[tuple[int, int]], characters: int) -> int:
    """Return the first token that ends after so many characters; all tokens, where none does."""
    return next((index for index, (_, end) in enumerate(offsets) if end > characters), len(offsets))


def _check_tokens(prompt: str, subject: str, subject_tokens: int, target: str, target_tokens: int) -> None:
    if not subject.strip() or subject_tokens < 1:
        raise ValueError(f"the subject {subject!r} of {prompt!r} has no token; wanted a name or a short expression")
    if target and (not target.strip() or target_tokens < 1):
        raise ValueError(f"the target {target!r} of {prompt!r} has no token; wanted a name or a short expression")
    if target_tokens > MOST_TARGET_TOKENS:
        raise ValueError(
            f"the target {target!r} of {prompt!r} has {target_tokens} tokens; wanted at most {MOST_TARGET_TOKENS}"
        )


def _statement_row(tokenizer: Any, prompt: str, object_: str) -> ScoredSequence:
    text = _join(prompt, object_)
    special, ids, offsets = encode_prefixed(tokenizer, text, conversation=False)
    first = _first_past(offsets, len(prompt))
    if not object_.strip() or _first_past(offsets, len(text) - len(object_.lstrip())) == len(ids):
        raise ValueError(f"the object {object_!r} of {prompt!r} has no token; wanted text")
    return ScoredSequence(ids=special + tuple(ids), start=max(1, len(special) + first))
