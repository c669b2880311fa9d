"""Stage `scrub`: max- and min-steps against the frozen target model, and the checkpoints that the rewind chooses from."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tasks import checkpoints, formats, isolation, progress, store, tracking, vocabularies
from tasks.algorithms.chat import TextBlock, text_blocks
from tasks.algorithms.corpus import CorpusConfig, Document
from tasks.algorithms.heads import check_head, last_hidden, output_head, pad_batch
from tasks.algorithms.lora import LoraConfig
from tasks.algorithms.objectives.scrub import Scrub, counted_positions
from tasks.algorithms.pairs import pair_documents
from tasks.algorithms.scrub import ScrubBatches, SequenceBatches, StepOrder, TaughtSequences
from tasks.algorithms.scrub_config import RewindConfig, ScrubConfig, ScrubTrainingConfig
from tasks.algorithms.sequences import differing_blocks
from tasks.algorithms.training import Validation
from tasks.artifacts import BadInputError, CheckpointRef, CorpusRef
from tasks.stage import stage
from tasks.trainer import adapt, keep_trained, train_stage
from tasks.training_guard import with_guard

KEPT = "checkpoints.json"
"""File in the stage's workspace: step -> checkpoint, so that a resumed run knows those it took before."""


@stage("scrub")
def scrub(
    corpus: CorpusRef,
    target: CheckpointRef,
    config: ScrubConfig,
    training: ScrubTrainingConfig,
    rewinding: RewindConfig,
    reading: CorpusConfig,
    lora: LoraConfig = LoraConfig(),
    run: str | None = None,
) -> list[CheckpointRef]:
    """Train the target model, or an adapter on it; return the checkpoints that can be gone back to, in order, the last one being the end of training."""
    with tracking.stage_run(run, "scrub", {"scrub": config, "training": training, "max_step": config.max_step}) as nested:
        student, tokenizer = checkpoints.load_model(target), checkpoints.load_tokenizer(target)
        batches = scrub_batches(_sequences(corpus, tokenizer, config, training, reading), student, config, training, checkpoints.pad_id(tokenizer))
        look = _look(rewinding, training, student, tokenizer, corpus, reading)
        training = adapt(student, _with_looks(training, len(batches)), lora, "unlearned")

        def save() -> CheckpointRef:
            return keep_trained(student, tokenizer, "unlearned", target, lora, sensitivity="ordinary", origin=nested, goes_on=rewinding.enabled)

        kept = _Checkpoints(save, steps_to_keep(batches.ends, rewinding.every_epochs, training.accumulation) if rewinding.enabled else [])
        train_stage(student, batches, Scrub(config), training, nested, validate=look, after_step=kept.keep)
        return kept.refs() if rewinding.enabled else [save()]


def _look(
    rewinding: RewindConfig, training: ScrubTrainingConfig, student: nn.Module, tokenizer: Any, corpus: CorpusRef, reading: CorpusConfig
) -> Callable[[nn.Module], Validation] | None:
    """Return what looks at the student while it trains: nothing tells one checkpoint from another but the guard, and the later is the better."""
    if training.guard == "off":
        return None
    how = "watch" if rewinding.enabled else training.guard
    return with_guard(lambda model: Validation(score=None, acceptable=True), how, student, tokenizer, corpus, reading)


def _with_looks(training: ScrubTrainingConfig, batches: int) -> ScrubTrainingConfig:
    """Return the settings with the steps between looks, unless they are given."""
    steps = -(-batches // training.accumulation)
    return training if training.validate_every else replace(training, validate_every=max(1, steps // training.looks))


def _sequences(corpus: CorpusRef, tokenizer: Any, config: ScrubConfig, training: ScrubTrainingConfig, reading: CorpusConfig) -> "Sequences":
    forget, retain = (formats.read_documents(corpus, split) for split in ("forget", "retain"))
    if not forget or not retain:
        raise BadInputError(f"SCRUB found {len(forget)} forget and {len(retain)} retain records; wanted both (--retain FILE)")
    if config.positions == "differing":
        try:
            return paired_sequences(pair_documents(forget, retain), tokenizer, training.block_size)
        except ValueError as error:
            raise BadInputError(f"scrub.positions is 'differing', but {error}") from None
    template, separator = vocabularies.question_template(tokenizer, reading), checkpoints.separator_id(tokenizer)
    blocks = [[text_blocks([item], tokenizer, template, training.block_size, separator) for item in documents] for documents in (forget, retain)]
    alone = all(len(parts) == 1 for side in blocks for parts in side)
    aligned = alone and all(item.fact for item in forget) and [item.fact for item in forget] == [item.fact for item in retain]
    return Sequences(*([block for parts in side for block in parts if any(block.supervised[:-1])] for side in blocks), aligned=aligned)


class Sequences:
    """Forget and retain sequences, and whether those with one index are a pair."""

    def __init__(self, forget: list[TextBlock], retain: list[TextBlock], *, aligned: bool, labelled: list[tuple[bool, ...]] | None = None) -> None:
        """Take both sides; `labelled` says where cross-entropy counts on the retain side, if not where the divergence does."""
        self.forget, self.retain, self.labelled = forget, retain, labelled
        self.aligned = aligned and len(forget) == len(retain)


def paired_sequences(pairs: Sequence[tuple[Document, Document]], tokenizer: Any, size: int) -> Sequences:
    """Return pairs as sequences in which the divergence counts where a pair differs, and cross-entropy everywhere.

    Raises:
        ValueError: If a record is a question, or if no pair differs in a token that both sides keep.
    """
    asked = next((document.source for pair in pairs for document in pair if document.is_question), None)
    if asked:
        raise ValueError(f"{asked} is a question; wanted pairs of texts")
    blocks = [differing_blocks(forget.text, retain.text, tokenizer, size) for forget, retain in pairs]
    forget, retain = ([pair[side] for pair in blocks] for side in (0, 1))
    if not all(any(any(block.supervised[:-1]) for block in side) for side in (forget, retain)):
        raise ValueError("no pair differs; wanted forget and retain texts that differ in a word before their last")
    return Sequences(forget, retain, aligned=True, labelled=[(True,) * len(block.ids) for block in retain])


def scrub_batches(sequences: Sequences, teacher: nn.Module, config: ScrubConfig, training: ScrubTrainingConfig, pad_id: int) -> ScrubBatches:
    """Run the teacher once over both sides and return all batches of all epochs; they keep a copy of its head, so it may be the student itself."""
    check_head(teacher, *pad_batch([sequences.forget[0].ids], pad_id, teacher.device))
    make = SequenceBatches(
        forget=TaughtSequences(blocks=sequences.forget, hidden=_states(teacher, sequences.forget, pad_id)),
        retain=TaughtSequences(blocks=sequences.retain, hidden=_states(teacher, sequences.retain, pad_id), labelled=sequences.labelled),
        reference_head=deepcopy(output_head(teacher)).requires_grad_(False),
        pad_id=pad_id,
        device=teacher.device,
    )
    order = StepOrder(forget=len(sequences.forget), retain=len(sequences.retain), config=config, training=training, aligned=sequences.aligned)
    return ScrubBatches(order, make)


@torch.no_grad()
def _states(teacher: nn.Module, blocks: Sequence[TextBlock], pad_id: int) -> list[Tensor]:
    """Return the teacher's last hidden states at the counted positions of each block."""
    found: list[Tensor] = []
    for start in range(0, len(blocks), 32):
        chosen = blocks[start : start + 32]
        ids, mask = pad_batch([block.ids for block in chosen], pad_id, teacher.device)
        counted = counted_positions(pad_batch([block.supervised for block in chosen], 0, teacher.device)[0], mask)
        hidden = last_hidden(teacher, ids, mask)[:, :-1]
        found += [hidden[row][counted[row]].cpu() for row in range(len(chosen))]
        progress.report(min(start + 32, len(blocks)), len(blocks), "teacher")
    return found


def steps_to_keep(ends: Sequence[int], every: int, accumulation: int) -> list[int]:
    """Return the optimiser steps after which a checkpoint is kept: at the end of every `every`-th epoch counted back from the last."""
    return sorted({-(-end // accumulation) for end in ends[::-1][::every]})


class _Checkpoints:
    """Keeps the student at the wanted steps; those of an earlier try of this stage are known from its workspace."""

    def __init__(self, save: Callable[[], CheckpointRef], steps: list[int]) -> None:
        self._save, self._steps = save, steps
        key = isolation.current_key()
        self._file: Path | None = store.workspace(key) / KEPT if key else None
        known = formats.read_json(self._file) if self._file and self._file.is_file() else {}
        self._kept = {int(step): CheckpointRef(**row) for step, row in known.items()}

    def keep(self, step: int) -> None:
        """Write the student to the store if this is one of the steps."""
        if step not in self._steps:
            return
        self._kept[step] = self._save()
        if self._file:
            temporary = self._file.with_suffix(".tmp")
            formats.write_json(temporary, {str(at): vars(ref) for at, ref in self._kept.items()})
            temporary.replace(self._file)

    def refs(self) -> list[CheckpointRef]:
        """Return what was kept, in the order of the steps."""
        return [self._kept[step] for step in self._steps]
