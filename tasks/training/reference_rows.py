"""Rows of a reference cache as batches, with the frozen model's outputs: read from the cache, or computed by a live
teacher.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from torch import Tensor, nn

from tasks.algorithms.models.adapters import AdapterView
from tasks.algorithms.models.heads import output_head
from tasks.algorithms.tokens.text_blocks import TextBlock
from tasks.algorithms.training.reference_model import join_rows, reference_entries, row_tensors, wanted_entries
from tasks.artifacts import CheckpointRef, ReferenceCache
from tasks.models.loading import load_model
from tasks.settings.training import LoraConfig
from tasks.storage.row_files import RowFile

PARTS = ("forget", "retain", "preferred")
HEADS = frozenset({"reference_hidden", "forget_hidden"})
"""Needs that are met by states to which the frozen head is applied."""


def live_teacher(student: nn.Module, target: CheckpointRef, lora: LoraConfig) -> nn.Module:
    """Return the frozen model; under an adapter it is there already."""
    return AdapterView(student, None) if lora.rank else load_model(target).requires_grad_(False)


class ReferenceRows:
    """Rows by part and index, as the tensors and the cached entries of a batch."""

    def __init__(
        self,
        reference: ReferenceCache,
        needs: frozenset[str],
        student: nn.Module,
        teacher: nn.Module | None,
        pad: int,
        layer: int | None,
    ) -> None:
        """Open the rows.

        Args:
            reference: The rows, and what the frozen model said about them unless there is a live teacher.
            needs: Of the objective.
            student: The model before it is trained: of its head a frozen copy is kept, where cached states want one.
            teacher: The frozen model, where it is asked live.
            pad: Filler token.
            layer: After which the objective wants states, if it does.
        """
        self._files = {part: RowFile(reference, part) for part in PARTS}
        self._entry_names = {part: wanted_entries(part, needs) for part in PARTS}
        self._head = deepcopy(output_head(student)).requires_grad_(False) if needs & HEADS else None
        self._teacher, self._device, self._dtype = teacher, student.device, student.dtype
        self._pad, self._layer = pad, layer

    def rows(self, part: str) -> list[TextBlock]:
        """Return the rows of a part: forget, retain or preferred."""
        return self._files[part].rows

    def batch(self, chosen: Mapping[str, Sequence[int]]) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return tensors and cached entries of some rows of each part; a part of which none is chosen is left out."""
        tensors: dict[str, Tensor] = {}
        cached: dict[str, Any] = {"reference_head": self._head} if self._head else {}
        for part, numbers in chosen.items():
            if numbers:
                part_tensors = row_tensors(
                    part, [self.rows(part)[number] for number in numbers], self._pad, self._device
                )
                tensors |= part_tensors
                cached |= self._entries(part, numbers, part_tensors)
        return tensors, cached

    def _entries(self, part: str, numbers: Sequence[int], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        names = self._entry_names[part]
        if self._teacher is not None:
            entries = reference_entries(self._teacher, tensors, part, names, self._layer)
        else:
            file, width = self._files[part], max(len(self.rows(part)[number].ids) for number in numbers)
            entries = {name: join_rows(name, file.pieces(name, numbers), width).to(self._device) for name in names}
        return {name: value.to(self._dtype) if name.endswith("_hidden") else value for name, value in entries.items()}
