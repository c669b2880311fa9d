"""Labels and teacher states on disk, read a few blocks at a time: what a training batch needs, however large the file is."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from tasks import store
from tasks.algorithms.labels import GenericLabels
from tasks.artifacts import LabelSet, TeacherCache
from tasks.tensor_files import TensorReader


class LabelRows:
    """The blocks of a label set and their labels; in memory are the offsets of the blocks, 24 bytes each."""

    def __init__(self, labels: LabelSet) -> None:
        """Open the file and find where each block begins in its columns."""
        self._file = TensorReader(store.path(labels) / "labels.safetensors")
        self._tokens = _bounds(self._file.whole("lengths"))
        blocks = len(self._tokens) - 1
        self._rows = _bounds(_counted((part for part in self._file.chunks("block")), blocks))
        first, homes = torch.tensor(self._rows[1:]), (part[:, 0].contiguous() for part in self._file.chunks("banned"))
        self._pairs = _bounds(_counted((torch.searchsorted(first, rows, right=True) for rows in homes), blocks))

    def __len__(self) -> int:
        """How many blocks there are."""
        return len(self._tokens) - 1

    def ids(self, block: int) -> Tensor:
        """Return the source tokens of a block, (seq,), int64."""
        return self._file.rows("ids", *self._tokens[block : block + 2])

    def labels(self, blocks: Sequence[int]) -> GenericLabels:
        """Return the labels of some blocks; `block` counts within `blocks`, the rows of `banned` from the first row returned."""
        columns = {name: self._gathered(name, self._rows, blocks) for name in ("position", "hard", "baseline_hidden", "reinforced_hidden")}
        counts = [self._rows[block + 1] - self._rows[block] for block in blocks]
        numbers = torch.repeat_interleave(torch.arange(len(blocks)), torch.tensor(counts, dtype=torch.long))
        return GenericLabels(block=numbers, banned=self._banned(blocks, counts), **columns)

    def _banned(self, blocks: Sequence[int], counts: Sequence[int]) -> Tensor:
        parts, first = [], 0
        for block, count in zip(blocks, counts, strict=True):
            parts.append(self._file.rows("banned", *self._pairs[block : block + 2]) + torch.tensor([first - self._rows[block], 0]))
            first += count
        return torch.cat(parts)

    def _gathered(self, name: str, bounds: Sequence[int], blocks: Sequence[int]) -> Tensor:
        return torch.cat([self._file.rows(name, *bounds[block : block + 2]) for block in blocks])


class TeacherRows:
    """The blocks of a teacher cache and the states at their supervised positions; in memory are the offsets of the blocks, 16 bytes each."""

    def __init__(self, cache: TeacherCache) -> None:
        """Open the file and find where each block begins in its columns."""
        self._file = TensorReader(store.path(cache) / "teacher.safetensors")
        self._tokens = _bounds(self._file.whole("lengths"))
        self._states = _bounds(torch.tensor([int(self.supervised(block).sum()) for block in range(len(self))], dtype=torch.long))

    def __len__(self) -> int:
        """How many blocks there are."""
        return len(self._tokens) - 1

    def ids(self, block: int) -> Tensor:
        """Return the tokens of a block, (seq,), int64."""
        return self._file.rows("ids", *self._tokens[block : block + 2])

    def supervised(self, block: int) -> Tensor:
        """Return which positions of a block are supervised, (seq,), bool."""
        return self._file.rows("supervised", *self._tokens[block : block + 2])

    def hidden(self, block: int) -> Tensor:
        """Return the teacher's last hidden states at the supervised positions of a block, (positions, hidden)."""
        return self._file.rows("hidden", *self._states[block : block + 2])


def _bounds(lengths: Tensor) -> list[int]:
    """Return where each of some rows begins, and the end of the last."""
    return [0, *lengths.cumsum(0).tolist()]


def _counted(parts: Iterator[Tensor], blocks: int) -> Tensor:
    """Return how often each block occurs."""
    return sum((torch.bincount(part, minlength=blocks) for part in parts), start=torch.zeros(blocks, dtype=torch.long))
