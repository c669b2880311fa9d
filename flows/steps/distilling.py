"""Noise and distillation after a method that changes weights: the stages beside its own, what they cannot do without,
and what card and report say of them.

    unlearned > (self-written text) > teacher caches of retain and forget text > distillation

Off unless `distillation.noise_alpha` is above 0; the method's own stages are the same either way.
"""

from collections.abc import Sequence
from dataclasses import replace

from flows.steps.widening import widened
from flows.steps.wiring import Call
from tasks.artifacts import BadInputError, CheckpointRef, CorpusRef
from tasks.distillation import distil
from tasks.settings.evaluation import MethodConfig
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.teacher_cache import cache_teacher

PAPER = "arXiv:2506.06278"


def require_distillable(request: UnlearningRequest, config: MethodConfig) -> None:
    """Refuse a distillation that has no text to speak of.

    Raises:
        BadInputError: If there is no retain text, and the model is to write none.
    """
    distillation = config.distillation
    if distillation.noise_alpha and not request.retain and not distillation.self_written_blocks:
        raise BadInputError(
            "a distillation is on retain text, there is none, and distillation.self_written_blocks is 0; wanted"
            " --retain FILE..., or blocks that the model writes itself"
        )


def distilled(unlearned: Call, corpus: CorpusRef, target: CheckpointRef, config: MethodConfig) -> Call:
    """Return the call that makes the model which is handed over: the method's own, or the distillation of its model."""
    distillation = config.distillation
    if not distillation.noise_alpha:
        return unlearned
    text = widened(
        corpus, target, distillation.self_written_blocks, distillation.block_size, distillation.seed, config.corpus
    )
    text = _written_before(text, unlearned) if isinstance(text, Call) else text
    retain = _said(unlearned, text, "retain", config)
    forget = _said(unlearned, corpus, "forget", config) if distillation.forget_text else None
    return Call(distil, unlearned, retain, forget, distillation)


def _said(unlearned: Call, text: CorpusRef | Call, split: str, config: MethodConfig) -> Call:
    size = config.distillation.block_size
    return Call(cache_teacher, text, unlearned, size, config.corpus, split, model=f"of {split} text")


def _written_before(text: Call, unlearned: Call) -> Call:
    """Return the method's own text of that amount where it has one, if of another seed: a run has one of it."""
    return next((each for each in unlearned.upstream() if each.key == text.key), text)


def account(config: MethodConfig) -> dict[str, str]:
    """Return in words, for card and log, that a model was distilled; nothing where it was not."""
    how = config.distillation
    text = f", the retain text itself by {how.text_share:g}" if how.text_share else ""
    words = f"alpha {how.noise_alpha:g}, beta {how.noise_beta:g}, {how.steps} steps{text} ({PAPER})"
    return {"distilled": words} if how.noise_alpha else {}


def told_apart(trained: Sequence[CheckpointRef]) -> list[CheckpointRef]:
    """Return checkpoints that were trained, in their order; of several by one name the last keeps it."""
    labels = [checkpoint.label for checkpoint in trained]
    return [
        replace(checkpoint, label=f"{checkpoint.label} before distillation")
        if checkpoint.label in labels[number + 1 :]
        else checkpoint
        for number, checkpoint in enumerate(trained)
    ]
