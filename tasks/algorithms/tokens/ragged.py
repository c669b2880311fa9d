"""Rows of unlike lengths in one tensor: what tuples of Python integers hold in thirty times the memory."""

from array import array
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from tasks.algorithms.shapes import Int


class Ragged(Sequence[Tensor]):
    """Rows of one tensor, in any order; a row is a view."""

    def __init__(self, values: Tensor, starts: Int[Tensor, " rows"], lengths: Int[Tensor, " rows"]) -> None:
        """Row r is `values[starts[r] : starts[r] + lengths[r]]`."""
        self._values, self.starts, self.lengths = values, starts, lengths

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> Tensor:
        start = int(self.starts[index])
        return self._values[start : start + int(self.lengths[index])]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[index] for index in range(len(self)))

    def select(self, indices: Sequence[int]) -> "Ragged":
        """Return some of the rows, in the order of `indices`; their values are shared."""
        chosen = torch.tensor(indices, dtype=torch.long)
        return Ragged(self._values, self.starts[chosen], self.lengths[chosen])


class RaggedRows:
    """Rows of integers that come one by one."""

    def __init__(self, dtype: torch.dtype) -> None:
        """Begin with none; they are kept as int32, or as bool."""
        self._dtype, self._values, self._lengths = dtype, array({torch.int32: "i", torch.bool: "b"}[dtype]), array("q")

    def __len__(self) -> int:
        return len(self._lengths)

    def append(self, row: Iterable[int]) -> None:
        """Add a row at the end."""
        before = len(self._values)
        self._values.extend(row)
        self._lengths.append(len(self._values) - before)

    def finish(self) -> Ragged:
        """Return all rows; none can be added after that."""
        lengths = _tensor(self._lengths, torch.long)
        return Ragged(_tensor(self._values, self._dtype), lengths.cumsum(0) - lengths, lengths)


def _tensor(values: array, dtype: torch.dtype) -> Tensor:
    return torch.frombuffer(values, dtype=dtype) if values else torch.empty(0, dtype=dtype)
