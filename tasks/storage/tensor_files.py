"""Safetensors files that are larger than memory: written row by row, read a few rows at a time.

    8 bytes: length of the header | header, JSON, padded to 8 bytes | columns, little endian, the widest types first

The file is that of `safetensors.torch.save_file` for the same tensors, to the byte. Rows are read where they lie
instead of through a memory map: every page of a map that was ever touched counts as the process's memory, and shuffled
epochs touch them all.
"""

import json
import shutil
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

if TYPE_CHECKING:
    import torch


DTYPES = {
    "I64": "int64",
    "F64": "float64",
    "F32": "float32",
    "I32": "int32",
    "BF16": "bfloat16",
    "F16": "float16",
    "U8": "uint8",
    "BOOL": "bool",
}
"""Types of the format, in the order in which their columns stand in a file."""
CHUNK_BYTES = 2**22
"""What is copied, or gone through, at a time."""


@dataclass(kw_only=True)
class _Column:
    """A column that grows: its rows in a file of their own."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    """Of one row."""
    stream: BinaryIO
    rows: int = 0


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Where a tensor lies in a file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    """Its first byte, counted from the beginning of the file."""
    row_bytes: int


@dataclass
class TensorWriter:
    """Writes tensors that come in pieces; `with TensorWriter(path) as writer: writer.append(name, rows)`.

    Rows wait in a file for each tensor beside `path`; on leaving, they become one file, the waiting ones deleted one
    after the other, so that the disk holds the result and its largest tensor at most. After an error nothing is left.
    """

    path: Path
    _columns: dict[str, _Column] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def append(self, name: str, rows: "torch.Tensor") -> None:
        """Add rows to a tensor; its first piece, which may be empty, says what a row looks like.

        Args:
            name: Of the tensor.
            rows: (rows, ...), on any device.

        Raises:
            ValueError: If a row has another type or shape than those before.
        """
        dtype, shape = str(rows.dtype).removeprefix("torch."), tuple(rows.shape[1:])
        if name not in self._columns:
            if dtype not in DTYPES.values():
                raise ValueError(f"{name} is of type {dtype}; wanted one of {', '.join(DTYPES.values())}")
            path = self.path.with_name(f"{self.path.name}.{len(self._columns)}.part")
            self._columns[name] = _Column(path=path, dtype=dtype, shape=shape, stream=path.open("wb"))
        column = self._columns[name]
        if (dtype, shape) != (column.dtype, column.shape):
            raise ValueError(
                f"{name} got rows of type {dtype} and shape {shape}; wanted {column.dtype} and {column.shape} as before"
            )
        column.stream.write(_bytes(rows))
        column.rows += len(rows)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for column in self._columns.values():
                column.stream.close()
            if kind is None:
                self._join()
        except BaseException:
            self.path.unlink(missing_ok=True)
            raise
        finally:
            for column in self._columns.values():
                column.path.unlink(missing_ok=True)

    def _join(self) -> None:
        order = list(DTYPES.values())
        columns = sorted(self._columns.items(), key=lambda item: (order.index(item[1].dtype), item[0]))
        with self.path.open("wb") as stream:
            stream.write(_header(columns))
            for _, column in columns:
                with column.path.open("rb") as rows:
                    shutil.copyfileobj(rows, stream, CHUNK_BYTES)
                column.path.unlink()


def _bytes(rows: "torch.Tensor") -> memoryview:
    import torch

    flat = rows.detach().contiguous().cpu().reshape(-1)
    return memoryview(flat.view(torch.uint8).numpy() if flat.numel() else b"")


def _header(columns: list[tuple[str, _Column]]) -> bytes:
    names, entries, start = {dtype: name for name, dtype in DTYPES.items()}, {}, 0
    for name, column in columns:
        end = start + column.path.stat().st_size
        entries[name] = {
            "dtype": names[column.dtype],
            "shape": [column.rows, *column.shape],
            "data_offsets": [start, end],
        }
        start = end
    header = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header


class TensorReader:
    """Reads rows of the tensors of a safetensors file; only what is asked for comes into memory."""

    def __init__(self, path: Path) -> None:
        """Open a file, its own of this reader, and read its header."""
        self._stream = path.open("rb", buffering=0)
        (length,) = struct.unpack("<Q", self._stream.read(8))
        header: dict[str, Any] = json.loads(self._stream.read(length))
        self.tensors = {name: _stored(entry, 8 + length) for name, entry in header.items() if name != "__metadata__"}

    def rows(self, name: str, start: int, stop: int) -> "torch.Tensor":
        """Return rows [start, stop) of a tensor.

        Raises:
            KeyError: If there is no such tensor.
            IndexError: If there are no such rows.
            OSError: If the file ends before they do.
        """
        import torch

        if name not in self.tensors:
            raise KeyError(f"there is no tensor {name!r}; wanted one of {', '.join(sorted(self.tensors))}")
        stored = self.tensors[name]
        if not 0 <= start <= stop <= stored.shape[0]:
            raise IndexError(f"{name} has no rows {start} to {stop}; wanted some within 0 to {stored.shape[0]}")
        tensor = torch.empty((stop - start, *stored.shape[1:]), dtype=getattr(torch, stored.dtype))
        if tensor.numel():
            self._stream.seek(stored.start + start * stored.row_bytes)
            self._fill(memoryview(tensor.view(-1).view(torch.uint8).numpy()))
        return tensor

    def _fill(self, target: memoryview) -> None:
        done = 0
        while done < len(target):
            count = self._stream.readinto(target[done:])
            if not count:
                raise OSError(f"{self._stream.name} ends {len(target) - done} bytes too early; wanted a whole file")
            done += count

    def chunks(self, name: str) -> "Iterator[torch.Tensor]":
        """Yield all rows of a tensor, a few megabytes at a time."""
        stored = self.tensors[name]
        step = max(1, CHUNK_BYTES // max(1, stored.row_bytes))
        for start in range(0, stored.shape[0], step):
            yield self.rows(name, start, min(start + step, stored.shape[0]))

    def whole(self, name: str) -> "torch.Tensor":
        """Return a whole tensor."""
        return self.rows(name, 0, self.tensors[name].shape[0])

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __del__(self) -> None:
        if stream := getattr(self, "_stream", None):
            stream.close()


def _stored(entry: dict[str, Any], data: int) -> Stored:
    import torch

    dtype, shape = DTYPES[entry["dtype"]], tuple(entry["shape"])
    return Stored(
        dtype=dtype,
        shape=shape,
        start=data + entry["data_offsets"][0],
        row_bytes=prod(shape[1:]) * getattr(torch, dtype).itemsize,
    )


def flat_rows(blocks: "Iterable[Sequence[int] | torch.Tensor]") -> dict[str, "torch.Tensor"]:
    """Return rows of tokens as two columns: `ids`, all tokens one after the other, and `lengths`, how many each row
    has; both int64.
    """
    import torch

    rows = [torch.as_tensor(block, dtype=torch.long) for block in blocks]
    return {"ids": torch.cat(rows), "lengths": torch.tensor([len(row) for row in rows], dtype=torch.long)}


def row_bounds(lengths: "torch.Tensor") -> list[int]:
    """Return where each of some rows begins, and the end of the last."""
    return [0, *lengths.cumsum(0).tolist()]
