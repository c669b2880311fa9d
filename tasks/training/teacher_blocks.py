"""Blocks of teacher caches as the batches of a distillation, and what it is looked at by."""

from collections.abc import Sequence

import torch
from torch import nn

from tasks.algorithms.objectives.distillation import Distillation
from tasks.algorithms.tokens.batching import pad_batch
from tasks.algorithms.training.loop import Batch, Validation
from tasks.algorithms.training.rounds import Rounds
from tasks.artifacts import BadInputError, TeacherCache
from tasks.settings.distillation import DistillationConfig
from tasks.storage.teacher_files import TeacherRows


class TeacherBlocks(Sequence[Batch]):
    """The batches of `config.steps` optimiser steps; every block comes round before any comes twice. Some blocks
    of every text, spaced evenly so that every file and topic has its share, are only validated on.
    """

    def __init__(
        self,
        head: nn.Module,
        texts: Sequence[tuple[TeacherCache, float]],
        pad: int,
        device: torch.device,
        dtype: torch.dtype,
        config: DistillationConfig,
    ) -> None:
        """Open the blocks.

        Args:
            head: The teacher's output head, frozen.
            texts: The blocks of each text with the teacher's states, and how much the text itself counts beside them.
            pad: Filler token.
            device: Where the student is.
            dtype: The type of the student's weights, which the states get.
            config: How the student is taught.

        Raises:
            BadInputError: If there are not two blocks.
        """
        opened = [(TeacherRows(cache), share) for cache, share in texts]
        self._places = [(rows, share, block) for rows, share in opened for block in range(len(rows))]
        self._head, self._pad, self._device, self._dtype, self._config = head, pad, device, dtype, config
        if len(self._places) < 2:
            raise BadInputError(
                f"distillation found {len(self._places)} blocks of text; wanted two at least: more --retain text, or a"
                " higher distillation.self_written_blocks"
            )
        blocks = [len(rows) for rows, _ in opened]
        self._rounds = Rounds(blocks, config.held_share, config.batch_blocks, config.seed)
        self.held = self._rounds.held
        """Blocks that are not trained on."""

    def __len__(self) -> int:
        return self._config.steps * self._config.accumulation

    def __getitem__(self, index: int) -> Batch:
        if not 0 <= index < len(self):
            raise IndexError(f"there is no batch {index}; wanted 0 to {len(self) - 1}")
        return self._batch(self._rounds.at(index))

    def _batch(self, blocks: Sequence[int], *, with_text: bool = True) -> Batch:
        shown = [self._places[block] for block in sorted(blocks)]
        ids, mask = pad_batch([rows.ids(block) for rows, _, block in shown], self._pad, self._device)
        counted, _ = pad_batch([rows.supervised(block) for rows, _, block in shown], 0, self._device)
        hidden = torch.cat([rows.hidden(block) for rows, _, block in shown]).to(self._device, self._dtype)
        shares = torch.tensor([share * with_text for _, share, _ in shown], dtype=torch.float32, device=self._device)
        return Batch(
            tensors={"ids": ids, "mask": mask, "supervised": counted},
            cached={
                "teacher_head": self._head,
                "teacher_hidden": hidden,
                "text_share": shares.repeat_interleave(counted.sum(dim=1)),
            },
            weight=float(counted.sum()),
        )

    @torch.no_grad()
    def validate(self, student: nn.Module) -> Validation:
        """Score the student by KL(teacher || student) on the held blocks, in nats a token."""
        total = tokens = 0.0
        for start in range(0, len(self.held), self._config.batch_blocks):
            batch = self._batch(self.held[start : start + self._config.batch_blocks], with_text=False)
            loss, _ = Distillation().loss(student, batch.tensors, batch.cached)
            total, tokens = total + batch.weight * float(loss), tokens + batch.weight
        kl = total / tokens
        return Validation(score=kl, acceptable=True, metrics={"validation/teacher_kl_nats": kl})
