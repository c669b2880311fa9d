"""What a person looks at after an edit: the edited prompt, other words for it, a question, something unrelated, and
how the model goes on.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from tasks.algorithms.measuring.edit_questions import unrelated_facts
from tasks.algorithms.measuring.edit_texts import continue_texts
from tasks.settings.edit_evaluation import EditEvaluationConfig
from tasks.settings.edit_request import EditRequest

Kind = Literal["prompt", "paraphrase", "question", "unrelated"]
_END = re.compile(r"(?<=[.!?])\s|\n")
"""Of a sentence or line."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """A prompt that is put to a model before and after edits."""

    request: int
    """Place of the request among all."""
    kind: Kind
    prompt: str


def queries(requests: Sequence[EditRequest], most: int) -> list[Query]:
    """Return what is asked about the first `most` edits: for each its prompt, and where it has them a paraphrase, one
    that is a question, and an unrelated fact, or else a neighbor's.
    """
    return [
        Query(request=at, kind=kind, prompt=prompt)
        for at, request in enumerate(requests[:most])
        for kind, prompt in _asked(request)
    ]


def _asked(request: EditRequest) -> list[tuple[Kind, str]]:
    plain = [prompt for prompt in request.paraphrases if "?" not in prompt]
    questions = [prompt for prompt in request.paraphrases if "?" in prompt]
    stated = unrelated_facts(request.unrelated, [request.subject], 1)
    kept = [fact.prompt for fact in stated] or list(request.neighborhood)
    some: dict[Kind, Sequence[str]] = {"paraphrase": plain, "question": questions, "unrelated": kept}
    return [("prompt", request.question), *((kind, prompts[0]) for kind, prompts in some.items() if prompts)]


def answers(
    model: nn.Module, tokenizer: Any, asked: Sequence[Query], config: EditEvaluationConfig, pad_id: int
) -> list[str]:
    """Return what a model says to each, greedily, up to the end of the sentence or line.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer.
        asked: What is put to it.
        config: `answer_tokens` are generated at most.
        pad_id: Filler token.
    """
    added = continue_texts(model, tokenizer, [one.prompt for one in asked], config.answer_tokens, pad_id)
    return [_END.split(text.strip(), maxsplit=1)[0] for text in added]
