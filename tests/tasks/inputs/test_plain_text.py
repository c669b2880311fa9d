"""Claims: text is read in its encoding; files of another kind, pipes and devices are refused, and named for what they
are.
"""

import os
from pathlib import Path

import pytest

from tasks.artifacts import BadInputError
from tasks.inputs.plain_text import decoded, other_kind, read_utf8


def write(folder: Path, content: bytes, name: str = "mine") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_is_read_in_the_encoding_that_its_mark_says(tmp_path: Path, encoding: str) -> None:
    raw = "Café in Köln".encode(encoding)
    assert other_kind(write(tmp_path, raw)) == ""
    assert decoded(tmp_path / "mine", raw) == "Café in Köln"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("one\ntwo é".encode("latin-1"), "line 2: byte 0xe9 is not UTF-8; wanted UTF-8 text: save it so"),
        (b"\xff\xfe\x00\xd8", "it begins as utf-16 and cannot be read so"),
        (b"a\x00b", "is a binary file"),
    ],
)
def test_what_is_not_in_it_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        decoded(Path("mine"), raw)


@pytest.mark.parametrize(
    ("raw", "name", "words"),
    [
        (b"%PDF-1.7\n", "a", "is a PDF; wanted its text in a file of its own"),
        (b"PK\x03\x04", "a", "is a zip archive, as .docx, .epub and .xlsx are"),
        (b"\x1f\x8b\x08", "a", "is compressed by gzip"),
        (b"{\\rtf1 text}", "a", "is an RTF document"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html>", "a", "is HTML or XML"),
        (b"<p>It rained.</p>", "a.htm", "is HTML or XML"),
        (b"<p>It rained.</p>", "a.md", ""),
        (b"I love <html> tags", "a.txt", ""),
        (b"\x89PNG\x00", "a", "is a binary file"),
        (b"PAR1\x00", "a", ""),
    ],
)
def test_other_kinds_are_named(tmp_path: Path, raw: bytes, name: str, words: str) -> None:
    found = other_kind(write(tmp_path, raw, name))
    assert found.startswith(words)
    assert bool(found) == bool(words)


def test_small_files_are_files_in_utf8(tmp_path: Path) -> None:
    assert read_utf8(write(tmp_path, b"\xef\xbb\xbfVelmora"), "--x mine", "JSON") == "Velmora"
    os.mkfifo(tmp_path / "pipe")
    for path, problem in (
        (tmp_path / "pipe", "is no file"),
        (Path("/dev/zero"), "is no file"),
        (tmp_path, "is no file"),
        (tmp_path / "none", "does not exist"),
    ):
        with pytest.raises(BadInputError, match=f"^--x mine {problem}; wanted JSON$"):
            read_utf8(path, "--x mine", "JSON")
    with pytest.raises(BadInputError, match=r"^--x mine: byte 3 is not UTF-8; wanted JSON$"):
        read_utf8(write(tmp_path, b"Caf\xe9"), "--x mine", "JSON")
