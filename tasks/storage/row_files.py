"""Rows of tokens with the outputs of a frozen model, as safetensors files that are written and read a few rows at a
time.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import store
from tasks.artifacts import ReferenceCache
from tasks.storage.tensor_files import TensorReader, TensorWriter

if TYPE_CHECKING:
    import torch

    from tasks.algorithms.tokens.text_blocks import TextBlock

LENGTHS = ".lengths"
"""Ends the name of the column that says how many rows of an entry belong to each row of tokens."""


def write_rows(path: Path, parts: "Iterable[tuple[Sequence[TextBlock], Mapping[str, Sequence[torch.Tensor]]]]") -> None:
    """Write rows, and for each entry one piece a row, as they come: (some rows, entry -> their pieces)."""
    import torch

    with TensorWriter(path) as writer:
        for rows, entries in parts:
            writer.append("ids", torch.tensor([token for row in rows for token in row.ids], dtype=torch.long))
            writer.append(
                "supervised", torch.tensor([flag for row in rows for flag in row.supervised], dtype=torch.bool)
            )
            writer.append("lengths", torch.tensor([len(row.ids) for row in rows], dtype=torch.long))
            for name, pieces in entries.items():
                writer.append(name, torch.cat(list(pieces)))
                writer.append(f"{name}{LENGTHS}", torch.tensor([len(piece) for piece in pieces], dtype=torch.long))


class RowFile:
    """Rows of one part of a reference cache; the frozen model's outputs are read from the disk when they are
    asked for.
    """

    def __init__(self, cache: ReferenceCache, part: str) -> None:
        """Open `part`: forget, retain or preferred; it may be missing, and then has no rows."""
        from tasks.algorithms.tokens.text_blocks import TextBlock

        path = store.path(cache) / f"{part}.safetensors"
        self.rows: list[TextBlock] = []
        if not path.is_file():
            return
        self._reader = TensorReader(path)
        lengths = self._reader.whole("lengths").tolist()
        ids, supervised = (self._reader.whole(name).split(lengths) for name in ("ids", "supervised"))
        self.rows = [
            TextBlock(ids=tuple(row.tolist()), supervised=tuple(mask.tolist()))
            for row, mask in zip(ids, supervised, strict=True)
        ]
        counted = [name for name in self._reader.tensors if name.endswith(LENGTHS)]
        self._starts = {
            name.removesuffix(LENGTHS): [0, *self._reader.whole(name).cumsum(0).tolist()] for name in counted
        }

    def pieces(self, name: str, chosen: Sequence[int]) -> "list[torch.Tensor]":
        """Return the pieces of an entry for some rows."""
        starts = self._starts[name]
        return [self._reader.rows(name, starts[row], starts[row + 1]) for row in chosen]
