"""Claims: a damaged JSON file of a model folder is named, whatever the damage."""

from pathlib import Path

import pytest

from tasks.artifacts import BadInputError
from tasks.models.json_files import read_object


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[]", "config.json holds a list"),
        (b'"x"', "config.json holds a str"),
        (b'{"a": ', "config.json cannot be read"),
        (b"\xff", "config.json cannot be read"),
        (b'{"chat_template": "\\ud800"}', "config.json cannot be read"),
        (b"[" * 100_000, "config.json is nested too deeply"),
    ],
)
def test_damage_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(BadInputError, match=f"^--model here: {message}.*; wanted a JSON object$"):
        read_object(tmp_path / "config.json", "--model here")


def test_an_object_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"a": [1, Infinity]}')
    assert read_object(tmp_path / "config.json", "") == {"a": [1, float("inf")]}
