"""A frozen model's hidden states in a file, written and read some blocks at a time."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tasks import store
from tasks.artifacts import TeacherCache
from tasks.storage.tensor_files import TensorReader, TensorWriter, flat_rows, row_bounds

if TYPE_CHECKING:
    from tasks.algorithms.tokens.text_blocks import TextBlocks


class TeacherRows:
    """The blocks of a teacher cache and the states at their supervised positions; in memory are the offsets of the
    blocks, 16 bytes each.
    """

    def __init__(self, cache: TeacherCache) -> None:
        """Open the file and find where each block begins in its columns."""
        self._file = TensorReader(store.path(cache) / "teacher.safetensors")
        self._tokens = row_bounds(self._file.whole("lengths"))
        self._states = row_bounds(
            torch.tensor([int(self.supervised(block).sum()) for block in range(len(self))], dtype=torch.long)
        )

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


def write_teacher(folder: Path, parts: "Iterable[tuple[TextBlocks, torch.Tensor]]") -> None:
    """Write blocks and the teacher's last hidden states at their supervised positions, (positions, hidden), some blocks
    at a time.

    A token takes 9 bytes, a supervised position one hidden state in the type it comes in.
    """
    with TensorWriter(folder / "teacher.safetensors") as writer:
        for blocks, hidden in parts:
            for name, tensor in flat_rows(blocks.ids).items():
                writer.append(name, tensor)
            writer.append("supervised", torch.cat(list(blocks.supervised)))
            writer.append("hidden", hidden)
