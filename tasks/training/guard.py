"""The guard as a training stage starts it: prompts from the corpus, and the answers that the model gives before it is
trained.
"""

import logging
from collections.abc import Callable
from typing import Any

from torch import nn

from tasks.algorithms.models.heads import context_size
from tasks.algorithms.training.guard import NEW_TOKENS, Guard, answers, guard_prompts, watched
from tasks.algorithms.training.loop import Validation
from tasks.artifacts import CorpusRef
from tasks.models import vocabularies
from tasks.models.loading import pad_id
from tasks.settings.text import CorpusConfig
from tasks.settings.training import GuardMode
from tasks.storage.documents import read_documents, read_pieces

_log = logging.getLogger(__name__)


def no_score(model: nn.Module) -> Validation:
    """Return a validation that accepts every checkpoint and finds the later the better."""
    return Validation(score=None, acceptable=True)


def with_guard(
    validate: Callable[[nn.Module], Validation],
    how: GuardMode,
    model: nn.Module,
    tokenizer: Any,
    corpus: CorpusRef,
    corpus_config: CorpusConfig,
) -> Callable[[nn.Module], Validation]:
    """Return a validation that also runs the guard, as `how` says; `model` has not been trained yet."""
    guard = _guard(model, tokenizer, corpus, corpus_config) if how != "off" else None
    return watched(validate, guard, steer=how == "steer") if guard else validate


def _guard(model: nn.Module, tokenizer: Any, corpus: CorpusRef, corpus_config: CorpusConfig) -> Guard | None:
    forget, retain = (
        read_documents(corpus, split) if split in corpus.documents else [] for split in ("forget", "retain")
    )
    template, pad, context = (
        vocabularies.question_template(tokenizer, corpus_config),
        pad_id(tokenizer),
        context_size(model.config),
    )
    prompts = guard_prompts(forget, retain, template, None)
    if not prompts:
        _log.warning("no text is long enough to make a prompt of: the guard is off")
        return None
    before = answers(model, prompts, tokenizer, template, pad, context, NEW_TOKENS)
    options = {
        "tokenizer": tokenizer,
        "template": template,
        "known_pieces": read_pieces(corpus),
        "pad_id": pad,
        "context": context,
    }
    return Guard(before, prompts, **options)
