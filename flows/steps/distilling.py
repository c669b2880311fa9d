"""Noise and distillation after a method that changes weights: the stages beside its own, what they cannot do without,
and what card and report say of them.

    unlearned > (self-written text) > teacher caches of both models > distillation

The target model speaks of the retain text, the unlearned one of the forget text. Off unless `distillation.noise_alpha`
is above 0; the method's own stages are the same either way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from flows.steps.outcome import StageOf
from flows.steps.wiring import DICTIONARY, Call
from tasks.artifacts import BadInputError, CheckpointRef, CorpusRef
from tasks.distillation import distil
from tasks.self_written import write_text
from tasks.settings.distillation import DistillationConfig
from tasks.settings.evaluation import MethodConfig
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.teacher_cache import cache_teacher

MOST_CHARACTERS = 8
"""Characters of a token at most, on the average of any text: with as many, enough tokens are there for sure."""
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
    text = _widened(corpus, target, distillation, config) if _is_little(corpus, distillation) else corpus
    spoken = [("retain", text, target if distillation.retain_teacher == "target" else unlearned)]
    if distillation.forget_text:
        spoken.append(("forget", corpus, unlearned))
    caches = [
        Call(cache_teacher, read, teacher, distillation.block_size, config.corpus, split, model=f"of {split} text")
        for split, read, teacher in spoken
    ]
    return Call(distil, unlearned, tuple(teacher for *_, teacher in spoken), tuple(caches), distillation)


def _widened(corpus: CorpusRef, target: CheckpointRef, how: DistillationConfig, config: MethodConfig) -> Call:
    return Call(
        write_text, corpus, DICTIONARY, target, how.self_written_blocks, how.block_size, how.seed, config.corpus
    )


def _is_little(corpus: CorpusRef, config: DistillationConfig) -> bool:
    """Return whether the retain text may have fewer blocks than are wanted; the stage counts them."""
    wanted = config.self_written_blocks * config.block_size * MOST_CHARACTERS
    return corpus.characters.get("retain", 0) < wanted


def account(config: MethodConfig, corpus: CorpusRef, records: Mapping[StageOf, Any]) -> dict[str, str]:
    """Return in words, for card and log, that a model was distilled; nothing where it was not."""
    how, text = config.distillation, records.get(StageOf("self-written text"))
    if not how.noise_alpha:
        return {}
    pieces = text.documents["retain"] - corpus.documents.get("retain", 0) if text else 0
    words = f"alpha {how.noise_alpha:g}, beta {how.noise_beta:g}, up to {how.steps} steps ({PAPER})"
    return {"distilled": f"{words}, {pieces} pieces of its text written by the target model" if pieces else words}


def told_apart(trained: Sequence[CheckpointRef]) -> list[CheckpointRef]:
    """Return checkpoints that were trained, in their order; of several by one name the last keeps it."""
    labels = [checkpoint.label for checkpoint in trained]
    return [
        replace(checkpoint, label=f"{checkpoint.label} before distillation")
        if checkpoint.label in labels[number + 1 :]
        else checkpoint
        for number, checkpoint in enumerate(trained)
    ]
