"""Stage `finetune`: the target model trained on generic labels, held to what it was on the retain text."""

from collections.abc import Callable
from typing import Any

import torch

from tasks import checkpoints, tracking
from tasks.algorithms.config import FinetuneConfig, LabelConfig
from tasks.algorithms.heads import output_head, pad_batch
from tasks.algorithms.lora import LoraConfig
from tasks.algorithms.objectives.generic_labels import GenericLabelLoss, GenericLabelLossConfig
from tasks.algorithms.probing import spaced
from tasks.algorithms.rounds import Rounds
from tasks.algorithms.training import MOST_VALIDATED, Batch, EpochBatches, Validation
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
        data = LabelledBlocks(labels, teacher, heads, checkpoints.pad_id(tokenizer), student.device, config)
        objective = GenericLabelLoss(
            GenericLabelLossConfig(
                kind=label_config.kind, alpha=label_config.alpha, relu_on=label_config.relu_on, retain_weight=config.retain_weight if teacher else 0.0
            )
        )
        batches = EpochBatches(data.forget_blocks, data.batch, config)
        train_stage(student, batches, objective, config, nested, validate=validation(data, objective, config) if config.validation_share else None)
        return keep_trained(student, tokenizer, "unlearned", target, lora, sensitivity="ordinary", origin=nested)


def _frozen_heads(student: torch.nn.Module, target: CheckpointRef, reinforced: CheckpointRef, lora: LoraConfig) -> dict[str, torch.nn.Module]:
    """Return the heads that turn cached states into logits; no adapter changes a head, so with adapters all are the student's own."""
    baseline = output_head(student if lora.rank else checkpoints.load_model(target))
    boosted = baseline if checkpoints.is_adapter(reinforced) else output_head(checkpoints.load_model(reinforced))
    return {"baseline_head": baseline, "reinforced_head": boosted}


Part = tuple[dict[str, torch.Tensor], dict[str, Any], int]
"""Tensors of a batch, what is cached about them, and over how many items a mean goes."""


class LabelledBlocks:
    """Forget blocks with their labels beside retain blocks with the teacher's states; some retain blocks, spaced evenly so that every file and topic
    has its share, are only validated on.
    """

    def __init__(
        self, labels: LabelSet, teacher: TeacherCache | None, heads: dict[str, torch.nn.Module], pad: int, device: torch.device, config: FinetuneConfig
    ) -> None:
        """Take labels and states, the frozen heads that turn states into logits, and how to train."""
        self._forget = LabelRows(labels)
        self._retain = TeacherRows(teacher) if teacher and config.retain_weight else None
        self._heads, self._pad, self._device = heads, pad, device
        self.forget_blocks, retain_blocks = len(self._forget), len(self._retain) if self._retain else 0
        self._rounds = Rounds(retain_blocks, config.validation_share, config.batch_blocks, config.seed + 1)
        self.held = self._rounds.held
        """Retain blocks that are not trained on."""

    def batch(self, indices: list[int], step: int) -> Batch:
        """Return forget blocks by index, with retain blocks beside them; every retain block comes round before any comes twice."""
        return self._build(indices, self._rounds.at(step))

    def _build(self, forget: list[int], retain: list[int]) -> Batch:
        tensors, cached, rows = self.forget_part(forget)
        if retain:
            more, states, _ = self.retain_part(retain)
            tensors, cached = tensors | more, cached | states
        return Batch(tensors=tensors, cached=cached, weight=float(max(1, rows)))

    def forget_part(self, blocks: list[int]) -> Part:
        """Return tensors, what is cached, and how many labels some forget blocks have."""
        ids, mask = pad_batch([self._forget.ids(block) for block in blocks], self._pad, self._device)
        labels = self._forget.labels(blocks)
        tensors = {"ids": ids, "mask": mask, "rows": torch.stack([labels.block, labels.position], dim=1).to(self._device)}
        cached: dict[str, Any] = {name: getattr(labels, name).to(self._device) for name in ("hard", "baseline_hidden", "reinforced_hidden", "banned")}
        return tensors, cached | self._heads, len(labels.hard)

    def retain_part(self, blocks: list[int]) -> Part:
        """Return tensors, what is cached, and how many supervised tokens some retain blocks have."""
        if self._retain is None:
            raise ValueError("there are no retain blocks; wanted a teacher cache")
        ids, mask = pad_batch([self._retain.ids(block) for block in blocks], self._pad, self._device)
        counted, _ = pad_batch([self._retain.supervised(block) for block in blocks], 0, self._device)
        hidden = torch.cat([self._retain.hidden(block) for block in blocks]).to(self._device)
        return {"retain_ids": ids, "retain_mask": mask, "retain_supervised": counted}, self._heads | {"retain_hidden": hidden}, len(hidden)


def validation(data: LabelledBlocks, objective: GenericLabelLoss, config: FinetuneConfig) -> Callable[[torch.nn.Module], Validation]:
    """Return a function that scores a slice: the label loss on forget blocks, acceptable while the KL of the held retain blocks is below the floor;
    what it has beyond that counts as much as label loss.

    The forget blocks are trained on too: what is removed need not generalise to other facts, and to hold any back would keep them.
    """
    forget = spaced(range(data.forget_blocks), min(MOST_VALIDATED, max(1, round(data.forget_blocks * config.validation_share))))

    @torch.no_grad()
    def over(term: Callable[..., torch.Tensor], part: Callable[[list[int]], Part], blocks: list[int], model: torch.nn.Module) -> float:
        total = items = 0.0
        for start in range(0, len(blocks), config.batch_blocks):
            tensors, cached, count = part(blocks[start : start + config.batch_blocks])
            total, items = total + count * float(term(model, tensors, cached)), items + count
        return total / items if items else 0.0

    def validate(model: torch.nn.Module) -> Validation:
        label_loss = over(objective.forget_term, data.forget_part, forget, model)
        kl = over(objective.retain_term, data.retain_part, data.held, model)
        metrics = {"validation/label_loss_nats": label_loss, "validation/retain_kl_nats": kl}
        acceptable = kl <= config.utility_floor
        return Validation(score=label_loss + (0.0 if acceptable else kl - config.utility_floor), acceptable=acceptable, metrics=metrics)

    return validate
