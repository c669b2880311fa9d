"""Text out of files that users bring: UTF-8, or UTF-16 and UTF-32 with their mark; what else it is, is said."""

import codecs
from pathlib import Path

from tasks.artifacts import BadInputError

KINDS: dict[bytes, str] = {
    b"%PDF-": "a PDF",
    b"PK\x03\x04": "a zip archive, as .docx, .epub and .xlsx are",
    b"\x1f\x8b": "compressed by gzip",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ\x00": "compressed by xz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"\xd0\xcf\x11\xe0": "an old Office document",
    b"{\\rtf": "an RTF document",
    b"ARROW1": "an Arrow file",
    b"SQLite format 3": "an SQLite database",
}
"""How files begin that hold text in another form -> what they are."""
PARQUET = b"PAR1"
MARKUP = ("<!doctype html", "<html", "<head", "<body", "<?xml")
MARKED = (".html", ".htm", ".xhtml", ".xml")
"""Suffixes that tell markup which begins with any tag."""
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def other_kind(path: Path) -> str:
    """Return what a file is whose text cannot be read as it is, and what to do; empty where it can, or is a table that
    is read.
    """
    with path.open("rb") as stream:
        head = stream.read(65536)
    if found := next((words for mark, words in KINDS.items() if head.startswith(mark)), ""):
        return f"is {found}; wanted its text in a file of its own"
    beginning = head.decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n")[:20].lower()
    if beginning.startswith(MARKUP) or (path.suffix.lower() in MARKED and beginning.startswith("<")):
        return "is HTML or XML, whose tags would be learned and forgotten with the text; wanted its text alone"
    if b"\x00" in head and not head.startswith((PARQUET, *_MARKS)):
        return "is a binary file; wanted UTF-8 text or JSON-lines records"
    return ""


def decoded(path: Path, raw: bytes) -> str:
    """Return the text of a file without its byte order mark.

    Raises:
        BadInputError: If it is not in the encoding that its mark says, or without one not in UTF-8; line and byte are
            named.
    """
    encoding = next((name for mark, name in _MARKS.items() if raw.startswith(mark)), "utf-8-sig")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8-sig":
            raise BadInputError(f"{path}: it begins as {encoding} and cannot be read so; wanted UTF-8 text") from None
        line = raw[: error.start].count(b"\n") + 1
        raise BadInputError(
            f"{path}, line {line}: byte {raw[error.start]:#04x} is not UTF-8; wanted UTF-8 text: save it so, or convert"
            " it (iconv -f latin1 -t utf-8)"
        ) from None
    if "\x00" in text:
        raise BadInputError(f"{path} is a binary file; wanted UTF-8 text or JSON-lines records")
    return text


def read_utf8(path: Path, given: str, wanted: str) -> str:
    """Return the text of a small file in UTF-8; pipes and devices are not waited for.

    Args:
        path: The file.
        given: What to call it in messages: option and name.
        wanted: What it should hold.

    Raises:
        BadInputError: If it is no file, or not in UTF-8.
    """
    if not path.exists():
        raise BadInputError(f"{given} does not exist; wanted {wanted}")
    if not path.is_file():
        raise BadInputError(f"{given} is no file; wanted {wanted}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInputError(f"{given}: byte {error.start} is not UTF-8; wanted {wanted}") from None
