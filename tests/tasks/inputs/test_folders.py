"""Claims: a folder gives the files whose text can be read, and says which it took and left, and why."""

from pathlib import Path

import pytest

from tasks.artifacts import BadInputError
from tasks.inputs.folders import NAMED, list_files


def write(folder: Path, *names: str, content: bytes = b"It rained.") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def test_text_is_taken_and_the_rest_is_left_with_the_reason(tmp_path: Path) -> None:
    write(tmp_path, "b.txt", "a/c.md", ".hidden", ".git/config")
    write(tmp_path, "scan.pdf", content=b"%PDF-1.4")
    write(tmp_path, "picture.png", content=b"\x89PNG\x00")
    write(tmp_path, "nothing.txt", content=b"")
    found = list_files("forget", str(tmp_path))
    assert [file.name for file in found.taken] == ["c.md", "b.txt"]
    assert found.in_words() == (
        "read: c.md, b.txt; left: config, .hidden (hidden), nothing.txt (empty), picture.png (a binary file), scan.pdf"
        " (a PDF)"
    )


def test_many_files_are_counted(tmp_path: Path) -> None:
    write(tmp_path, *(f"{number:03}.txt" for number in range(NAMED + 3)))
    assert list_files("forget", str(tmp_path)).in_words().endswith(f"{NAMED - 1:03}.txt and 3 more")


def test_a_folder_of_which_nothing_can_be_read_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "scan.pdf", content=b"%PDF-1.4")
    with pytest.raises(BadInputError, match=r"holds no files that can be read, left: scan\.pdf \(a PDF\); wanted"):
        list_files("forget", str(tmp_path))


def test_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, ".notes")
    assert list_files("forget", str(tmp_path / ".notes")).taken == [tmp_path / ".notes"]
