"""What one model says about edits: every object's log-probability and greedy hits, texts about the subjects, and the
likelihood of ordinary text. One pass a model; every figure is arithmetic on this, see `edit_figures`.

Edits that stand alone and edits that stand together differ only in what is asked: `only` names the requests whose
questions are put to the model at hand.

    questions = prepare_questions(base, tokenizer, requests, config, pad, together=False)
    before    = score_edits(base, tokenizer, requests, questions, config, pad)
    after    += score_edits(edited, tokenizer, requests, questions, config, pad, only=(3,))   # edit 3 alone, in memory

After N edits in one model, `only=range(N)` scores all of them again.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from tasks.algorithms.measuring.edit_questions import (
    TOGETHER,
    EditQuestion,
    Object,
    Role,
    edit_questions,
    said_questions,
)
from tasks.algorithms.measuring.edit_texts import WrittenText, write_texts
from tasks.algorithms.measuring.logit_lens import LensRank, lens_ranks
from tasks.algorithms.measuring.metrics import ScoredSequence, score_sequences
from tasks.algorithms.models.heads import context_size
from tasks.algorithms.text.spacing import spaced
from tasks.algorithms.tokens.alignment import encode, prefix_ids
from tasks.settings.edit_evaluation import EditEvaluationConfig
from tasks.settings.edit_request import EditRequest


@dataclass(frozen=True, kw_only=True)
class ObjectScore:
    """How likely an object is after a prompt."""

    request: int
    """Place of the request among all, or TOGETHER."""
    role: Role
    number: int
    object: Object
    log_p_nats: float
    """Of all its tokens together."""
    hits: tuple[bool, ...]
    """Whether each token is the model's first choice, given the object's tokens before it."""

    @property
    def mean_log_p_nats(self) -> float:
        """Log-probability a token, which is what the editing literature compares."""
        return self.log_p_nats / len(self.hits)

    @property
    def completed(self) -> bool:
        """Whether the model, asked greedily, goes on with exactly these tokens.

        This needs no generation: the first greedy token is the object's first if that is a hit; what follows was then
        scored in the very context that generation would have, and so on.
        """
        return all(self.hits)


@dataclass(frozen=True, kw_only=True)
class TextScore:
    """The likelihood of a window of ordinary text."""

    text: int
    """Place of the text among all."""
    window: int
    """Place of the window in its text."""
    log_p_nats: float
    tokens: int


@dataclass(frozen=True, kw_only=True)
class EditRecords:
    """All that was found of one model, or of one model an edit."""

    objects: tuple[ObjectScore, ...] = ()
    written: tuple[WrittenText, ...] = ()
    texts: tuple[TextScore, ...] = ()
    lens: tuple[LensRank, ...] = ()

    def __add__(self, other: "EditRecords") -> "EditRecords":
        """Return the records of both."""
        return EditRecords(
            objects=self.objects + other.objects,
            written=self.written + other.written,
            texts=self.texts + other.texts,
            lens=self.lens + other.lens,
        )


def prepare_questions(
    model: nn.Module,
    tokenizer: Any,
    requests: Sequence[EditRequest],
    config: EditEvaluationConfig,
    pad_id: int,
    *,
    together: bool,
) -> list[EditQuestion]:
    """Return what is to be asked of every model about the edits.

    Args:
        model: The model before any edit: what it says to unrelated facts is part of the questions.
        tokenizer: Its tokenizer.
        requests: The edits.
        config: How much is asked.
        pad_id: Filler token.
        together: Whether one model is to hold all edits, or each one alone.
    """
    return [
        *edit_questions(tokenizer, requests, context_size(model.config)),
        *said_questions(model, tokenizer, requests, config.unrelated, pad_id, together=together),
    ]


def score_edits(
    model: nn.Module,
    tokenizer: Any,
    requests: Sequence[EditRequest],
    questions: Sequence[EditQuestion],
    config: EditEvaluationConfig,
    pad_id: int,
    *,
    only: Collection[int] | None = None,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> EditRecords:
    """Put the questions to a model, let it write about the subjects, and look inside for the old objects.

    Args:
        model: Before or after edits.
        tokenizer: Its tokenizer.
        requests: The edits; places are theirs.
        questions: See `prepare_questions`.
        config: How much is written.
        pad_id: Filler token.
        only: Places of the requests that are asked about, and with them what is asked about all together; None: all.
        on_step: Called with the sequences scored and their total.

    Raises:
        ValueError: If a log-probability is not a number.
    """
    here = [one for one in questions if only is None or one.request == TOGETHER or one.request in only]
    distinct = list(dict.fromkeys(one.sequence for one in here))
    scored = dict(zip(distinct, score_sequences(model, distinct, pad_id, on_step=on_step), strict=True))
    places = range(len(requests)) if only is None else sorted(only)
    return EditRecords(
        objects=tuple(_object_score(one, scored[one.sequence]) for one in here),
        written=tuple(write_texts(model, tokenizer, requests, config, pad_id, only)),
        lens=tuple(lens_ranks(model, tokenizer, requests, places, context_size(model.config), pad_id)),
    )


def _object_score(question: EditQuestion, table: np.ndarray) -> ObjectScore:
    return ObjectScore(
        request=question.request,
        role=question.role,
        number=question.number,
        object=question.object,
        log_p_nats=float(table[:, 0].sum(dtype=np.float64)),
        hits=tuple(bool(hit) for hit in table[:, 1]),
    )


def score_texts(
    model: nn.Module, tokenizer: Any, texts: Sequence[str], config: EditEvaluationConfig, pad_id: int
) -> EditRecords:
    """Score ordinary texts in windows, at most `config.text_tokens` tokens of them, evenly spaced."""
    window, prefix = min(config.window, context_size(model.config)), prefix_ids(tokenizer)
    room, windows = window - len(prefix), []
    for number, text in enumerate(texts):
        ids, _ = encode(tokenizer, text)
        pieces = ((*prefix, *ids[start : start + room]) for start in range(0, len(ids), room))
        windows += [
            (number, place, ScoredSequence(ids=piece, start=max(1, len(prefix))))
            for place, piece in enumerate(pieces)
            if len(piece) > 1
        ]
    chosen = spaced(windows, config.text_tokens // window)
    tables = score_sequences(model, [sequence for *_, sequence in chosen], pad_id)
    return EditRecords(
        texts=tuple(
            TextScore(text=number, window=place, log_p_nats=float(table[:, 0].sum(dtype=np.float64)), tokens=len(table))
            for (number, place, _), table in zip(chosen, tables, strict=True)
        )
    )
