"""JSON lists and JSON lines: every record has its place, and what is malformed is named with file and line."""

from pathlib import Path
from typing import Any

import pytest

from tasks.artifacts import BadInputError
from tasks.inputs.json_records import read_records


def read(folder: Path, content: str) -> list[tuple[str, Any]]:
    (folder / "mine").write_bytes(content.encode())
    return [(place.removeprefix(f"{folder / 'mine'}, "), record) for place, record in read_records(folder / "mine")]


@pytest.mark.parametrize(
    ("content", "places"),
    [
        ('[{"a": 1},\n {"a": 2}]', ["record 1", "record 2"]),
        ('\ufeff\n[{"a": 1}, {"a": 2}]', ["record 1", "record 2"]),
        ('{"a": 1}\n{"a": 2}\n', ["line 1", "line 2"]),
        ('\r\n{"a": 1}\r\n\r\n{"a": 2}', ["line 2", "line 4"]),
    ],
    ids=["list", "list after a byte order mark", "lines", "lines of Windows, some empty"],
)
def test_a_file_is_a_list_or_lines(tmp_path: Path, content: str, places: list[str]) -> None:
    assert read(tmp_path, content) == [(place, {"a": number}) for number, place in enumerate(places, 1)]


def test_one_record_alone_may_take_several_lines(tmp_path: Path) -> None:
    assert read(tmp_path, '{\n "a": 1\n}\n') == [("record 1", {"a": 1})]


def test_a_line_separator_within_a_text_ends_no_record(tmp_path: Path) -> None:
    assert read(tmp_path, '{"a": "b\u2028c"}\n{"a": 2}') == [("line 1", {"a": "b\u2028c"}), ("line 2", {"a": 2})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "mine is empty; wanted JSON or JSON lines"),
        (" \n", "mine is empty"),
        ("[]", "mine holds no records; wanted one or more"),
        ('{"a": 1}\n{"a": \n', "mine, line 2: Expecting value at character 7; wanted one JSON record a line"),
        ('{"a" 1}', "mine, line 1: Expecting ':' delimiter at character 6; wanted one JSON record a line"),
        ("Toto lives in Oz", "mine, line 1: Expecting value at character 1; wanted one JSON record a line"),
        ('[{"a": 1},\n{"a" 2}]', "mine, line 2: Expecting ':' delimiter at character 6; wanted a JSON list of records"),
        ("[" * 200_000, "mine, line 1: it cannot be read"),
    ],
)
def test_what_is_malformed_is_named_with_file_and_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "mine").write_text(content)
    with pytest.raises(BadInputError) as caught:
        list(read_records(tmp_path / "mine"))
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'mine'}")
    assert "\n" not in str(caught.value)


def test_what_is_no_file_or_not_utf8_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(BadInputError, match=f"{path} is no file; wanted a file of JSON or JSON lines"):
            list(read_records(path))
    (tmp_path / "mine").write_bytes('{"a": "Köln"}'.encode("latin-1"))
    with pytest.raises(BadInputError, match="byte 8 is not UTF-8"):
        list(read_records(tmp_path / "mine"))
