"""A searcher for words that must be nowhere: in files, in their names, in databases and in what is packed inside, in
whatever way they are written, and as ids of tokens.
"""

import base64
import bz2
import contextlib
import io
import json
import lzma
import math
import os
import re
import shutil
import sqlite3
import struct
import tempfile
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEPTH = 5
"""Packed in packed, at most."""
MOST = 1 << 26
"""Bytes that are unpacked of one part, at most."""
LEAST_IDS = 4
"""Ids that are no chance find in a row."""
SQLITE = b"SQLite format 3\0"
STREAMS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b\x08": lambda: zlib.decompressobj(31),
    **dict.fromkeys((b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"), zlib.decompressobj),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\0": lzma.LZMADecompressor,
}
"""First bytes of a packed stream -> what unpacks it."""


@dataclass(frozen=True, order=True, kw_only=True)
class Find:
    """A word that was found."""

    place: str
    """Path below the searched folder; behind a `!` what of it."""
    form: str
    """How it is written there."""
    word: str


class Searcher:
    """Knows the words, and counts where it has looked."""

    def __init__(self, words: Sequence[str], tokenizer: Any = None) -> None:
        """Take what is sought.

        Args:
            words: Each is sought by itself; in running text they may stand apart.
            tokenizer: Whose ids are sought too; none where it is None.
        """
        self.looked = 0
        self._needles: dict[bytes, tuple[str, str]] = {}
        for word in words:
            forms = _forms(word) if tokenizer is None else _forms(word) | _as_ids(word, tokenizer)
            for form, needle in forms.items():
                self._needles.setdefault(needle, (form, word))

    def folder(self, root: Path) -> list[Find]:
        """Search every file below a folder, and all names."""
        found: set[Find] = set()
        for path in sorted(root.rglob("*")):
            place = str(path.relative_to(root))
            names = place.encode(errors="surrogateescape") + (
                b"\0" + os.fsencode(path.readlink()) if path.is_symlink() else b""
            )
            found |= set(self.data(names, f"{place}!name"))
            if path.is_file() and not path.is_symlink():
                data = path.read_bytes()
                found |= set(self.data(data, place))
                if data.startswith(SQLITE):
                    found |= {find for name, cells in _cells(path) for find in self.data(cells, f"{place}!{name}")}
        return sorted(found)

    def data(self, data: bytes, place: str, depth: int = 0) -> list[Find]:
        """Search bytes, and what is packed in them."""
        self.looked += 1
        without_space = re.sub(rb"\\[nr]|\s", b"", data)  # base64 and lists of ids are broken into lines
        lower = data.lower()
        found = [
            Find(place=place, form=form, word=word)
            for needle, (form, word) in self._needles.items()
            if needle in data or needle in (lower if form == "lower case" else without_space)
        ]
        if depth < DEPTH:
            for name, inner in _unpacked(data):
                found += self.data(inner, f"{place}!{name}", depth + 1)
        return sorted(set(found))


def _forms(word: str) -> dict[str, bytes]:
    """Return the ways to write a word, by name."""
    plain, escaped = word.encode(), json.dumps(word)[1:-1]
    forms = {
        "utf-8": plain,
        "lower case": word.lower().encode(),
        "utf-16-le": word.encode("utf-16-le"),
        "utf-16-be": word.encode("utf-16-be"),
        "json": escaped.encode(),
        "json in json": escaped.replace("\\", "\\\\").encode(),
        "python": ascii(word)[1:-1].encode(),
        "url": urllib.parse.quote(word).encode(),
        "html": word.encode("ascii", "xmlcharrefreplace"),
        "hex": plain.hex().encode(),
    }
    for shift in range(3):
        forms[f"base64+{shift}"] = standard = _within_base64(plain, shift)
        forms[f"base64url+{shift}"] = standard.replace(b"+", b"-").replace(b"/", b"_")
    return forms


def _within_base64(data: bytes, shift: int) -> bytes:
    """Return the letters of base64 that follow from `data` alone where it begins `shift` bytes behind a multiple of
    three.
    """
    first, behind = math.ceil(8 * shift / 6), (shift + len(data)) * 8 // 6
    return base64.b64encode(bytes(shift) + data)[first:behind]


def _as_ids(word: str, tokenizer: Any) -> dict[str, bytes]:
    """Return a word as ids that stand in a row, in every width. Its first and last token may be joined to what stands
    around it, and are left out.
    """
    forms = {}
    for before in ("", " "):
        ids = tokenizer(before + word, add_special_tokens=False)["input_ids"][1:-1]
        if len(ids) < LEAST_IDS:
            raise ValueError(f"{word} has {len(ids)} tokens beside its first and last; wanted {LEAST_IDS}")
        for code, name in zip("Bhiq", ("8", "16", "32", "64"), strict=True):
            if code != "B" or max(ids) < 256:
                forms[f"int{name} ids{before}"] = struct.pack(f"<{len(ids)}{code}", *ids)
        forms[f"ids as text{before}"] = ",".join(map(str, ids)).encode()
    return forms


def _unpacked(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what is packed in bytes, wherever it begins."""
    for magic, opened in STREAMS.items():
        at = data.find(magic)
        while at >= 0:
            with contextlib.suppress(zlib.error, OSError, EOFError, lzma.LZMAError, ValueError):
                if inner := opened().decompress(memoryview(data)[at:], MOST):
                    yield f"packed at {at}", inner
            at = data.find(magic, at + 1)
    if b"PK\x03\x04" in data:
        with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(data)) as packed:
            for name in packed.namelist():
                yield f"zip/{name}", name.encode() + b"\0" + packed.read(name)
    if data.startswith(b"PAR1"):
        yield from _columns(data)


def _columns(data: bytes) -> Iterator[tuple[str, bytes]]:
    import pyarrow
    from pyarrow import parquet

    table = parquet.read_table(pyarrow.BufferReader(data))
    for name, values in table.to_pydict().items():
        yield f"parquet/{name}", _as_bytes(values)


def _as_bytes(values: Any) -> bytes:
    """Return values of any kind as text, and bytes as they are."""
    raw: list[bytes] = []

    def keep(value: Any) -> str:
        raw.append(value if isinstance(value, bytes) else str(value).encode())
        return ""

    text = json.dumps(values, ensure_ascii=False, default=keep).encode()
    return b"\0".join([text, *raw])


def _cells(file: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each column of each table of a database, with what its write-ahead log has; the files stay as they are."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.db"
        for ending in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(f"{file}{ending}", f"{copy}{ending}")
        with contextlib.closing(sqlite3.connect(copy)) as database:
            names = database.execute("select name from sqlite_master where type = 'table'").fetchall()
            for (table,) in names:
                asked = database.execute(f'select * from "{table}"')  # noqa: S608
                for column, values in zip(asked.description, zip(*asked.fetchall(), strict=True), strict=False):
                    yield f"{table}.{column[0]}", _as_bytes(values)
