"""Rows of tokens, and what a frozen model says about each, as safetensors files that are read a few rows at a time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import store
from tasks.artifacts import ReferenceCache

if TYPE_CHECKING:
    import torch

    from tasks.algorithms.chat import TextBlock


def write_rows(path: Path, rows: Sequence["TextBlock"], entries: Mapping[str, Sequence["torch.Tensor"]]) -> None:
    """Write rows, and for each entry one piece a row."""
    import torch
    from safetensors.torch import save_file

    columns = {
        "ids": torch.tensor([token for row in rows for token in row.ids], dtype=torch.long),
        "supervised": torch.tensor([flag for row in rows for flag in row.supervised], dtype=torch.bool),
        "lengths": torch.tensor([len(row.ids) for row in rows], dtype=torch.long),
    }
    for name, pieces in entries.items():
        columns[name] = torch.cat(list(pieces))
        columns[f"{name}.lengths"] = torch.tensor([len(piece) for piece in pieces], dtype=torch.long)
    save_file({name: value.contiguous() for name, value in columns.items()}, path)


class RowFile:
    """Rows of one part of a reference cache; entries are read from the disk when they are asked for, by memory map."""

    def __init__(self, cache: ReferenceCache, part: str) -> None:
        """Open `part`: forget, retain or preferred; it may be missing, and then has no rows."""
        from safetensors import safe_open

        from tasks.algorithms.chat import TextBlock

        path = store.path(cache) / f"{part}.safetensors"
        self.rows: list[TextBlock] = []
        if not path.is_file():
            return
        self._file = safe_open(path, framework="pt")
        lengths = self._file.get_tensor("lengths").tolist()
        ids, supervised = (self._file.get_tensor(name).split(lengths) for name in ("ids", "supervised"))
        self.rows = [TextBlock(ids=tuple(one.tolist()), supervised=tuple(other.tolist())) for one, other in zip(ids, supervised, strict=True)]
        self._starts = {name.removesuffix(".lengths"): _starts(self._file.get_tensor(name)) for name in self._file.keys() if name.endswith(".lengths")}  # noqa: SIM118

    def pieces(self, name: str, chosen: Sequence[int]) -> list["torch.Tensor"]:
        """Return the pieces of an entry for some rows."""
        column, starts = self._file.get_slice(name), self._starts[name]
        return [column[starts[row] : starts[row + 1]] for row in chosen]


def _starts(lengths: "torch.Tensor") -> list[int]:
    return [0, *lengths.cumsum(0).tolist()]
