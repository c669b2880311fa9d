"""Stage `finetune` of methods that train by an entry of `OBJECTIVES`: the target model ends at its best checkpoint."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch

from tasks import checkpoints, tracking
from tasks.algorithms.adapters import AdapterView
from tasks.algorithms.corpus import CorpusConfig
from tasks.algorithms.gradient_config import UnlearningConfig
from tasks.algorithms.heads import output_head
from tasks.algorithms.lora import LoraConfig
from tasks.algorithms.objectives import objective_class
from tasks.algorithms.probing import spaced
from tasks.algorithms.reference import join_rows, reference_entries, row_tensors, validator, wanted_entries
from tasks.algorithms.training import Batch, EpochBatches, Validation, shuffled
from tasks.artifacts import CheckpointRef, CorpusRef, ReferenceCache
from tasks.row_files import RowFile
from tasks.stage import stage
from tasks.trainer import adapt, keep_trained, train_stage
from tasks.training_guard import with_guard

PARTS = ("forget", "retain", "preferred")


@stage("finetune")
def unlearn(
    corpus: CorpusRef,
    target: CheckpointRef,
    reference: ReferenceCache,
    method: str,
    objective: Any,
    config: UnlearningConfig,
    reading: CorpusConfig,
    lora: LoraConfig = LoraConfig(),
    run: str | None = None,
) -> CheckpointRef:
    """Train the target model, or an adapter on it; a live teacher is a second, frozen copy of it, or the model with its adapter off."""
    with tracking.stage_run(run, "finetune", {"method": method, "objective": objective, "training": config}) as nested:
        student, tokenizer = checkpoints.load_model(target), checkpoints.load_tokenizer(target)
        made, head = objective_class(method)(objective), deepcopy(output_head(student)).requires_grad_(False)
        teacher = live_teacher(student, target, lora) if config.teacher == "live" else None
        layer = made.layer(student) if hasattr(made, "layer") else None
        data = ObjectiveRows(reference, made.needs, head, teacher, checkpoints.pad_id(tokenizer), config, layer, student.device)
        validate = data.validation(student) if config.validation_share else None
        if validate:
            validate = with_guard(validate, config.guard, student, tokenizer, corpus, reading)
        lora = _train_some(student, made, lora)
        config = adapt(student, config, lora, "unlearned")
        train_stage(student, EpochBatches(data.forget_rows, data.batch, config), made, config, nested, validate=validate)
        return keep_trained(student, tokenizer, "unlearned", target, lora, sensitivity="ordinary", origin=nested)


def live_teacher(student: torch.nn.Module, target: CheckpointRef, lora: LoraConfig) -> torch.nn.Module:
    """Return the frozen model; under an adapter it is there already."""
    return AdapterView(student, None) if lora.rank else checkpoints.load_model(target).requires_grad_(False)


def _train_some(model: torch.nn.Module, objective: Any, lora: LoraConfig) -> LoraConfig:
    """Freeze all but what an objective wants trained, where it does not want all; return which layers get an adapter: the same."""
    if not hasattr(objective, "trainable"):
        return lora
    names = objective.trainable(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)
    return replace(lora, targets=tuple(name.removesuffix(".weight") for name in names))


class ObjectiveRows:
    """Forget rows beside retain rows, with what the frozen model says about both; the last retain rows are only validated on."""

    def __init__(
        self,
        reference: ReferenceCache,
        needs: frozenset[str],
        head: torch.nn.Module,
        teacher: torch.nn.Module | None,
        pad: int,
        config: UnlearningConfig,
        layer: int | None,
        device: torch.device,
    ) -> None:
        """Open the rows. `head` is the frozen output head; `teacher` the frozen model, where it is asked live."""
        self._files = {part: RowFile(reference, part) for part in PARTS}
        self._wanted = {part: wanted_entries(part, needs) for part in PARTS}
        self._head, self._teacher, self._device, self._layer = head, teacher, device, layer
        self._pad, self._config = pad, config
        self.forget_rows = len(self._files["forget"].rows)
        self._retain_held = int(len(self._files["retain"].rows) * config.validation_share)

    def batch(self, indices: list[int], step: int) -> Batch:
        """Return forget rows by index, with retain rows beside them; every retain row comes round before any comes twice."""
        usable, size = len(self._files["retain"].rows) - self._retain_held, self._config.retain_batch
        retain = [self._retain_at(step * size + slot, usable) for slot in range(min(size, usable))]
        chosen = {"forget": indices, "retain": retain, "preferred": indices if self._files["preferred"].rows else []}
        tensors: dict[str, torch.Tensor] = {}
        cached: dict[str, Any] = {"reference_head": self._head}
        for part, numbers in chosen.items():
            if numbers:
                found = row_tensors(part, [self._files[part].rows[number] for number in numbers], self._pad, self._device)
                tensors |= found
                cached |= self._said(part, numbers, found)
        weight = sum(sum(self._files["forget"].rows[number].supervised) for number in indices)
        return Batch(tensors=tensors, cached=cached, weight=float(weight))

    def _retain_at(self, number: int, usable: int) -> int:
        epoch, slot = divmod(number, usable)
        return shuffled(usable, self._config.seed + 1, epoch)[slot]

    def _said(self, part: str, numbers: list[int], tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        names = self._wanted[part]
        if self._teacher is not None:
            return reference_entries(self._teacher, tensors, part, names, self._layer)
        file, width = self._files[part], max(len(self._files[part].rows[number].ids) for number in numbers)
        return {name: join_rows(name, file.pieces(name, numbers), width).to(self._device) for name in names}

    def validation(self, student: torch.nn.Module) -> Callable[[torch.nn.Module], Validation]:
        """Return a function that scores a slice: what is left of the forget rows, acceptable while the retain rows lose little."""
        retain = self._files["retain"].rows
        held: Sequence[Any] = retain[len(retain) - self._retain_held :] if self._retain_held else []
        forget, config = spaced(self._files["forget"].rows, self._config.validation_rows), self._config
        look = validator(student, forget, held, self._pad, config.batch_blocks, config.stop_probability)

        def validate(model: torch.nn.Module) -> Validation:
            found = look(model)
            metrics = {f"validation/{name}": value for name, value in found.items()}
            return Validation(score=found["left"], acceptable=found["retain_loss_rise_nats"] <= config.utility_floor, metrics=metrics)

        return validate
