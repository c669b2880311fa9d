"""Generic labels in a file, written window by window and read some blocks at a time."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tasks import store
from tasks.algorithms.unlearning.labels import GenericLabels
from tasks.artifacts import LabelSet
from tasks.storage.tensor_files import TensorReader, TensorWriter, flat_rows, row_bounds

if TYPE_CHECKING:
    from tasks.algorithms.tokens.alignment import Block


class LabelRows:
    """The blocks of a label set and their labels; in memory are the offsets of the blocks, 24 bytes each."""

    def __init__(self, labels: LabelSet) -> None:
        """Open the file and find where each block begins in its columns."""
        self._file = TensorReader(store.path(labels) / "labels.safetensors")
        self._tokens = row_bounds(self._file.whole("lengths"))
        blocks = len(self._tokens) - 1
        self._rows = row_bounds(_counted((part for part in self._file.chunks("block")), blocks))
        first, homes = torch.tensor(self._rows[1:]), (part[:, 0].contiguous() for part in self._file.chunks("banned"))
        self._topic = self._file.whole("topic")
        self._pairs = row_bounds(_counted((torch.searchsorted(first, rows, right=True) for rows in homes), blocks))

    def __len__(self) -> int:
        """How many blocks there are."""
        return len(self._tokens) - 1

    def ids(self, block: int) -> Tensor:
        """Return the source tokens of a block, (seq,), int64."""
        return self._file.rows("ids", *self._tokens[block : block + 2])

    def labels(self, blocks: Sequence[int]) -> GenericLabels:
        """Return the labels of some blocks; `block` counts within `blocks`, the rows of `banned` from the first row
        returned.
        """
        columns = {
            name: self._gathered(name, self._rows, blocks)
            for name in ("position", "hard", "baseline_hidden", "reinforced_hidden")
        }
        counts = [self._rows[block + 1] - self._rows[block] for block in blocks]
        numbers = torch.repeat_interleave(torch.arange(len(blocks)), torch.tensor(counts, dtype=torch.long))
        return GenericLabels(block=numbers, banned=self._banned(blocks, counts), topic=self._topic, **columns)

    def _banned(self, blocks: Sequence[int], counts: Sequence[int]) -> Tensor:
        parts, first = [], 0
        for block, count in zip(blocks, counts, strict=True):
            parts.append(
                self._file.rows("banned", *self._pairs[block : block + 2])
                + torch.tensor([first - self._rows[block], 0])
            )
            first += count
        return torch.cat(parts)

    def _gathered(self, name: str, bounds: Sequence[int], blocks: Sequence[int]) -> Tensor:
        return torch.cat([self._file.rows(name, *bounds[block : block + 2]) for block in blocks])


def _counted(parts: Iterator[Tensor], blocks: int) -> Tensor:
    """Return how often each block occurs."""
    return sum((torch.bincount(part, minlength=blocks) for part in parts), start=torch.zeros(blocks, dtype=torch.long))


_LABEL_COLUMNS = ("block", "position", "hard", "baseline_hidden", "reinforced_hidden", "banned")


def write_labels(folder: Path, windows: "Iterable[tuple[Sequence[Block], GenericLabels]]") -> dict[str, int]:
    """Write generic labels with the source tokens of their blocks, window by window.

    A labelled position takes 24 bytes and two hidden states in the type they come in, a token of the text 8 bytes, a
    pair that cannot be a label 16 bytes: 10 MB of text, 2.5 million tokens, take 4 GB with a hidden size of 192 in
    float32.

    Args:
        folder: Where `labels.safetensors` is written.
        windows: As `stream_labels` yields them.

    Returns:
        How many `blocks` and labelled `positions` there are, and how many positions were `dropped`.
    """
    count = dict.fromkeys(("blocks", "positions", "dropped"), 0)
    with TensorWriter(folder / "labels.safetensors") as writer:
        for number, (blocks, labels) in enumerate(windows):
            if not number:
                writer.append("topic", labels.topic)
            for name, tensor in [
                *flat_rows([block.source for block in blocks]).items(),
                *((name, getattr(labels, name)) for name in _LABEL_COLUMNS),
            ]:
                writer.append(name, tensor)
            for name, more in {"blocks": len(blocks), "positions": len(labels.hard), "dropped": labels.dropped}.items():
                count[name] += more
    return count
