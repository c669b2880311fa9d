"""Blocks with their generic labels, and retain blocks with the target's states, as batches."""

from typing import Any

import torch

from tasks.algorithms.tokens.batching import pad_batch
from tasks.algorithms.training.loop import Batch
from tasks.algorithms.training.rounds import Rounds
from tasks.artifacts import LabelSet, TeacherCache
from tasks.settings.finetuning import FinetuneConfig
from tasks.storage.label_files import LabelRows
from tasks.storage.teacher_files import TeacherRows

Part = tuple[dict[str, torch.Tensor], dict[str, Any], int]
"""Tensors of a batch, what is cached about them, and over how many items a mean goes."""


class LabelledBlocks:
    """Forget blocks with their labels beside retain blocks with the teacher's states; some retain blocks, spaced evenly
    so that every file and topic has its share, are only validated on.
    """

    def __init__(
        self,
        labels: LabelSet,
        teacher: TeacherCache | None,
        heads: dict[str, torch.nn.Module],
        pad: int,
        device: torch.device,
        config: FinetuneConfig,
    ) -> None:
        """Take labels and states, the frozen heads that turn states into logits, and how to train."""
        self._forget = LabelRows(labels)
        self._retain = TeacherRows(teacher) if teacher and config.retain_weight else None
        self._heads, self._pad, self._device = heads, pad, device
        self.forget_blocks, retain_blocks = len(self._forget), len(self._retain) if self._retain else 0
        self._rounds = Rounds([retain_blocks], config.validation_share, config.batch_blocks, config.seed + 1)
        self.held = self._rounds.held
        """Retain blocks that are not trained on."""

    def batch(self, indices: list[int], step: int) -> Batch:
        """Return forget blocks by index, with retain blocks beside them; every retain block comes round before any
        comes twice.
        """
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
        tensors = {
            "ids": ids,
            "mask": mask,
            "rows": torch.stack([labels.block, labels.position], dim=1).to(self._device),
        }
        cached: dict[str, Any] = {
            name: getattr(labels, name).to(self._device)
            for name in ("hard", "baseline_hidden", "reinforced_hidden", "banned", "topic")
        }
        return tensors, cached | self._heads, len(labels.hard)

    def retain_part(self, blocks: list[int]) -> Part:
        """Return tensors, what is cached, and how many supervised tokens some retain blocks have."""
        if self._retain is None:
            raise ValueError("there are no retain blocks; wanted a teacher cache")
        ids, mask = pad_batch([self._retain.ids(block) for block in blocks], self._pad, self._device)
        counted, _ = pad_batch([self._retain.supervised(block) for block in blocks], 0, self._device)
        hidden = torch.cat([self._retain.hidden(block) for block in blocks]).to(self._device)
        return (
            {"retain_ids": ids, "retain_mask": mask, "retain_supervised": counted},
            self._heads | {"retain_hidden": hidden},
            len(hidden),
        )
