"""Stage `scrub`: max- and min-steps against the frozen target model, and the checkpoints that the rewind
chooses from.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store, tracking
from tasks.artifacts import BadInputError, CheckpointRef, CorpusRef, Localisation, ReferenceCache
from tasks.execution import isolation
from tasks.execution.stage import stage
from tasks.models.loading import load_model, load_tokenizer, pad_id
from tasks.settings.scrub import RewindConfig, ScrubConfig, ScrubTrainingConfig
from tasks.settings.text import CorpusConfig
from tasks.settings.training import LoraConfig
from tasks.storage.documents import read_documents
from tasks.storage.plain_files import read_json, write_json

if TYPE_CHECKING:
    from torch import nn

    from tasks.algorithms.training.loop import Validation
    from tasks.algorithms.training.scrub_steps import ScrubBatches, Step
    from tasks.training.reference_rows import ReferenceRows

KEPT = "checkpoints.json"
"""File in the stage's workspace: step -> checkpoint, so that a resumed run knows those it took before."""


@stage("scrub")
def scrub(
    corpus: CorpusRef,
    target: CheckpointRef,
    reference: ReferenceCache,
    config: ScrubConfig,
    training: ScrubTrainingConfig,
    rewinding: RewindConfig,
    corpus_config: CorpusConfig,
    lora: LoraConfig = LoraConfig(),
    localisation: Localisation | None = None,
    run: str | None = None,
) -> list[CheckpointRef]:
    """Train the target model, an adapter on it, or the MLPs of the named layers alone; return the checkpoints that can
    be gone back to, in order, the last one being the end of training.
    """
    from tasks.algorithms.objectives.scrub import Scrub
    from tasks.training.chosen_weights import train_localised
    from tasks.training.reference_rows import ReferenceRows, live_teacher
    from tasks.training.trainer import adapt, keep_trained, train_stage

    with tracking.stage_run(
        run, "scrub", {"scrub": config, "training": training, "max_step": config.max_step}
    ) as nested:
        student, tokenizer = load_model(target, exact=not lora.rank), load_tokenizer(target)
        teacher = live_teacher(student, target, lora) if training.teacher == "live" else None
        rows = ReferenceRows(reference, config.needs, student, teacher, pad_id(tokenizer), None)
        aligned = config.positions == "differing" or _aligned(corpus, rows)
        batches = scrub_batches(rows, config, training, aligned=aligned, vocabulary=len(tokenizer))
        validate = _validation(config, rewinding, training, student, tokenizer, corpus, corpus_config)
        lora = train_localised(student, localisation, lora)
        training = adapt(student, _with_validations(training, len(batches)), lora, "unlearned")

        def save() -> CheckpointRef:
            return keep_trained(
                student,
                tokenizer,
                "unlearned",
                target,
                lora,
                sensitivity="ordinary",
                origin=nested,
                goes_on=rewinding.enabled,
            )

        checkpoints = _Checkpoints(
            save,
            steps_to_keep(batches.ends, rewinding.every_epochs, training.accumulation) if rewinding.enabled else [],
        )
        train_stage(student, batches, Scrub(config), training, nested, validate=validate, after_step=checkpoints.keep)
        return checkpoints.refs(nested or "") if rewinding.enabled else [save()]


def _aligned(corpus: CorpusRef, rows: "ReferenceRows") -> bool:
    """Return whether forget and retain rows of one index are a pair: every record is a row of its own, and their facts
    are the same.
    """
    forget, retain = (read_documents(corpus, split) for split in ("forget", "retain"))
    alone = len(forget) == len(rows.rows("forget")) and len(retain) == len(rows.rows("retain"))
    return (
        alone and all(item.fact for item in forget) and [item.fact for item in forget] == [item.fact for item in retain]
    )


def scrub_batches(
    rows: "ReferenceRows", config: ScrubConfig, training: ScrubTrainingConfig, *, aligned: bool, vocabulary: int
) -> "ScrubBatches":
    """Return all batches of all epochs; one weighs as much as it has sequences of one set.

    Raises:
        BadInputError: If a side has no sequences.
    """
    from tasks.algorithms.training.loop import Batch
    from tasks.algorithms.training.scrub_steps import ScrubBatches, StepOrder
    from tasks.training.retain_knowledge import RetainKnowledge

    forget, retain = (len(rows.rows(part)) for part in ("forget", "retain"))
    if not forget or not retain:
        raise BadInputError(f"SCRUB found {forget} forget and {retain} retain sequences; wanted both (--retain FILE)")

    knowledge = RetainKnowledge(rows, config, vocabulary)

    def make(step: "Step") -> Batch:
        tensors, cached = rows.batch({"forget": step.forget, "retain": step.retain})
        more_tensors, more_cached = knowledge.of(step.forget, tensors["mask"].device) if step.forget else ({}, {})
        tensors, cached = tensors | more_tensors, cached | more_cached
        if config.positions == "differing" and step.retain:
            # cross-entropy counts everywhere, the divergence where a pair differs
            tensors["retain_labelled"] = tensors["retain_mask"]
        tokens = sum(len(states) for name, states in cached.items() if name.endswith("_hidden"))
        return Batch(
            tensors=tensors, cached=cached, weight=float(max(len(step.forget), len(step.retain))), tokens=float(tokens)
        )

    return ScrubBatches(
        StepOrder(forget=forget, retain=retain, config=config, training=training, aligned=aligned), make
    )


def _validation(
    config: ScrubConfig,
    rewinding: RewindConfig,
    training: ScrubTrainingConfig,
    student: "nn.Module",
    tokenizer: Any,
    corpus: CorpusRef,
    corpus_config: CorpusConfig,
) -> "Callable[[nn.Module], Validation] | None":
    """Return the validation of the student during training, None where there is none: nothing but the guard tells one
    checkpoint from another.

    It steers only where every step is alike: the min-steps of form `original` are there to mend what its max-steps did.
    """
    from tasks.training.guard import no_score, with_guard

    steers = config.form == "language_model" and not rewinding.enabled
    validate = with_guard(
        no_score,
        training.guard if steers or training.guard == "off" else "watch",
        student,
        tokenizer,
        corpus,
        corpus_config,
    )
    return None if validate is no_score else validate


def _with_validations(training: ScrubTrainingConfig, batches: int) -> ScrubTrainingConfig:
    """Return the settings with the steps between validations, unless they are given."""
    steps = -(-batches // training.accumulation)
    return training if training.validate_every else replace(training, validate_every=max(1, steps // training.looks))


def steps_to_keep(ends: Sequence[int], every: int, accumulation: int) -> list[int]:
    """Return the optimiser steps after which a checkpoint is kept: at the end of every `every`-th epoch counted back
    from the last.
    """
    return sorted({-(-end // accumulation) for end in ends[::-1][::every]})


class _Checkpoints:
    """Keeps the student at the wanted steps; those of an earlier try of this stage are known from its workspace."""

    def __init__(self, save: Callable[[], CheckpointRef], steps: list[int]) -> None:
        self._save, self._steps = save, steps
        key = isolation.current_key()
        self._file: Path | None = store.workspace(key) / KEPT if key else None
        stored = read_json(self._file) if self._file and self._file.is_file() else {}
        self._saved = {int(step): CheckpointRef(**row) for step, row in stored.items()}

    def keep(self, step: int) -> None:
        """Write the student to the store if this is one of the steps."""
        if step not in self._steps:
            return
        self._saved[step] = self._save()
        if self._file:
            temporary = self._file.with_suffix(".tmp")
            write_json(temporary, {str(at): vars(ref) for at, ref in self._saved.items()})
            temporary.replace(self._file)

    def refs(self, origin: str) -> list[CheckpointRef]:
        """Return what was kept, in the order of the steps, as made by the run that ends here: it knows those that it
        went on from.
        """
        return [replace(self._saved[step], origin=origin) for step in self._steps]
