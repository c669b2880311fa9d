"""Stage `finetune`: the target model trained on generic labels, held to what it was on the retain text."""

from collections.abc import Callable
from typing import Any

import torch

from tasks import checkpoints, tracking
from tasks.algorithms.config import FinetuneConfig, LabelConfig
from tasks.algorithms.heads import output_head, pad_batch
from tasks.algorithms.lora import LoraConfig
from tasks.algorithms.objectives.generic_labels import GenericLabelLoss, GenericLabelLossConfig
from tasks.algorithms.training import Batch, EpochBatches, Validation, held_back, shuffled
from tasks.artifacts import CheckpointRef, LabelSet, TeacherCache
from tasks.label_rows import LabelRows, TeacherRows
from tasks.stage import stage
from tasks.trainer import adapt, keep_trained, train_stage


@stage("finetune")
def finetune(
    target: CheckpointRef,
    reinforced: CheckpointRef,
    labels: LabelSet,
    teacher: TeacherCache | None,
    label_config: LabelConfig,
    config: FinetuneConfig,
    lora: LoraConfig = LoraConfig(),
    run: str | None = None,
) -> CheckpointRef:
    """Train the target model, or an adapter on it, on the labels; it ends at its best checkpoint."""
    with tracking.stage_run(run, "finetune", config) as nested:
        student, tokenizer = checkpoints.load_model(target, exact=not lora.rank), checkpoints.load_tokenizer(target)
        config = adapt(student, config, lora, "unlearned")
        heads = _frozen_heads(student, target, reinforced, lora)
        data = _LabelledBlocks(labels, teacher, heads, checkpoints.pad_id(tokenizer), student.device, config)
        objective = GenericLabelLoss(
            GenericLabelLossConfig(
                kind=label_config.kind, alpha=label_config.alpha, relu_on=label_config.relu_on, retain_weight=config.retain_weight if teacher else 0.0
            )
        )
        batches = EpochBatches(data.forget_blocks, data.batch, config)
        train_stage(student, batches, objective, config, nested, validate=data.validation(objective) if config.validation_share else None)
        return keep_trained(student, tokenizer, "unlearned", target, lora, sensitivity="ordinary", origin=nested)


def _frozen_heads(student: torch.nn.Module, target: CheckpointRef, reinforced: CheckpointRef, lora: LoraConfig) -> dict[str, torch.nn.Module]:
    """Return the heads that turn cached states into logits; no adapter changes a head, so with adapters all are the student's own."""
    baseline = output_head(student if lora.rank else checkpoints.load_model(target))
    boosted = baseline if checkpoints.is_adapter(reinforced) else output_head(checkpoints.load_model(reinforced))
    return {"baseline_head": baseline, "reinforced_head": boosted}


class _LabelledBlocks:
    """Forget blocks with their labels beside retain blocks with the teacher's states; the last retain blocks are only validated on."""

    def __init__(
        self, labels: LabelSet, teacher: TeacherCache | None, heads: dict[str, torch.nn.Module], pad: int, device: torch.device, config: FinetuneConfig
    ) -> None:
        self._forget = LabelRows(labels)
        self._retain = TeacherRows(teacher) if teacher and config.retain_weight else None
        self._heads, self._pad, self._device, self._config = heads, pad, device, config
        self.forget_blocks, self._retain_blocks = len(self._forget), len(self._retain) if self._retain else 0
        self._retain_held = held_back(self._retain_blocks, config.validation_share)

    def batch(self, indices: list[int], step: int) -> Batch:
        """Return forget blocks by index, with as many retain blocks; every retain block comes round before any comes twice."""
        usable = self._retain_blocks - self._retain_held
        retain = [self._retain_at(step * self._config.batch_blocks + slot, usable) for slot in range(len(indices))] if usable else []
        return self._build(indices, retain)

    def _retain_at(self, number: int, usable: int) -> int:
        epoch, slot = divmod(number, usable)
        return shuffled(usable, self._config.seed + 1, epoch)[slot]

    def _build(self, indices: list[int], retain: list[int]) -> Batch:
        ids, mask = pad_batch([self._forget.ids(index) for index in indices], self._pad, self._device)
        labels = self._forget.labels(indices)
        tensors = {"ids": ids, "mask": mask, "rows": torch.stack([labels.block, labels.position], dim=1).to(self._device)}
        cached: dict[str, Any] = {name: getattr(labels, name).to(self._device) for name in ("hard", "baseline_hidden", "reinforced_hidden", "banned")}
        cached |= self._heads
        if self._retain and retain:
            retain_ids, retain_mask = pad_batch([self._retain.ids(index) for index in retain], self._pad, self._device)
            counted, _ = pad_batch([self._retain.supervised(index) for index in retain], 0, self._device)
            tensors |= {"retain_ids": retain_ids, "retain_mask": retain_mask, "retain_supervised": counted}
            cached["retain_hidden"] = torch.cat([self._retain.hidden(index) for index in retain]).to(self._device)
        return Batch(tensors=tensors, cached=cached, weight=float(max(1, len(labels.hard))))

    def validation(self, objective: GenericLabelLoss) -> Callable[[torch.nn.Module], Validation]:
        """Return a function that scores a slice: the label loss on forget blocks, acceptable while the retain KL is below the floor.

        The forget blocks are trained on too: what is removed need not generalise to other facts, and to hold any back would keep them.
        """
        number = max(1, round(self.forget_blocks * self._config.validation_share))
        forget = [index * self.forget_blocks // number for index in range(number)]
        retain = list(range(self._retain_blocks - self._retain_held, self._retain_blocks))
        size = self._config.batch_blocks
        rounds = [(forget[start : start + size], retain[start : start + size]) for start in range(0, len(forget), size)]

        @torch.no_grad()
        def validate(model: torch.nn.Module) -> Validation:
            label_loss, retain_kl = [], []
            for blocks, kept in rounds:
                batch = self._build(blocks, kept)
                found = objective.loss(model, batch.tensors, batch.cached)[1]
                label_loss.append(float(found["label_loss_nats"]))
                retain_kl.append(float(found.get("retain_kl_nats", 0.0)))
            score, kl = sum(label_loss) / len(label_loss), sum(retain_kl) / len(retain_kl)
            metrics = {"validation/label_loss_nats": score, "validation/retain_kl_nats": kl}
            acceptable = kl <= self._config.utility_floor
            excess = 0.0 if acceptable else kl - self._config.utility_floor
            return Validation(score=score + excess, acceptable=acceptable, metrics=metrics)

        return validate
