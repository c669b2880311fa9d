"""Stage `finetune` of methods that train by an entry of `OBJECTIVES`: the target model ends at its best checkpoint."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from tasks import checkpoints, tracking
from tasks.algorithms.gradient_config import UnlearningConfig
from tasks.algorithms.heads import output_head
from tasks.algorithms.objectives import objective_class
from tasks.algorithms.probing import spaced
from tasks.algorithms.reference import join_rows, reference_entries, row_tensors, validator, wanted_entries
from tasks.algorithms.training import Batch, EpochBatches, Validation, shuffled
from tasks.artifacts import CheckpointRef, ReferenceCache
from tasks.row_files import RowFile
from tasks.stage import stage
from tasks.trainer import train_stage

PARTS = ("forget", "retain", "preferred")


@stage("finetune")
def unlearn(target: CheckpointRef, reference: ReferenceCache, method: str, objective: Any, config: UnlearningConfig, run: str | None = None) -> CheckpointRef:
    """Train the target model; where the teacher is live, a second, frozen copy of it answers beside."""
    with tracking.stage_run(run, "finetune", {"method": method, "objective": objective, "training": config}) as nested:
        student, tokenizer = checkpoints.load_model(target), checkpoints.load_tokenizer(target)
        made = objective_class(method)(objective)
        if hasattr(made, "trainable"):
            _freeze_others(student, made.trainable(student))
        teacher = checkpoints.load_model(target).requires_grad_(False)
        data = ObjectiveRows(reference, made.needs, teacher, checkpoints.pad_id(tokenizer), config, made.layer(student) if hasattr(made, "layer") else None)
        del teacher
        validate = data.validation(student) if config.validation_share else None
        train_stage(student, EpochBatches(data.forget_rows, data.batch, config), made, config, nested, validate=validate)
        return checkpoints.save_checkpoint(student, tokenizer, "unlearned", sensitivity="ordinary", origin=nested)


def _freeze_others(model: torch.nn.Module, names: Sequence[str]) -> None:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)


class ObjectiveRows:
    """Forget rows beside retain rows, with what the frozen model says about both; the last retain rows are only validated on."""

    def __init__(
        self, reference: ReferenceCache, needs: frozenset[str], teacher: torch.nn.Module, pad: int, config: UnlearningConfig, layer: int | None
    ) -> None:
        """Open the rows; of a teacher that is not live only the output head is kept."""
        self._files = {part: RowFile(reference, part) for part in PARTS}
        self._wanted = {part: wanted_entries(part, needs) for part in PARTS}
        self._head, self._device, self._layer = output_head(teacher), teacher.device, layer
        self._teacher = teacher if config.teacher == "live" else None
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
        return Batch(tensors=tensors, cached=cached, weight=float(sum(sum(self._files["forget"].rows[number].supervised) for number in indices)))

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
        held = retain[len(retain) - self._retain_held :] if self._retain_held else []
        forget, config = spaced(self._files["forget"].rows, self._config.validation_rows), self._config
        look = validator(student, forget, held, self._pad, config.batch_blocks, config.stop_probability)

        def validate(model: torch.nn.Module) -> Validation:
            found = look(model)
            metrics = {f"validation/{name}": value for name, value in found.items()}
            return Validation(score=found["left"], acceptable=found["retain_loss_rise_nats"] <= config.utility_floor, metrics=metrics)

        return validate
