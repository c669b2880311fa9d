"""Claims: an adapter's folder says what it belongs to, or is refused in one line."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.artifacts import BadInputError
from tasks.models.adapter_files import SETTINGS, WEIGHTS, Base, noted_base


def folder(place: Path, settings: Any, base: Any) -> Path:
    (place / WEIGHTS).write_bytes(b"")
    for name, content in zip(SETTINGS, (settings, base), strict=True):
        (place / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return place


def test_the_base_is_named(tmp_path: Path) -> None:
    found = noted_base(folder(tmp_path, {"base_model_name_or_path": "/here"}, {"digest": "f00d", "parameters": 3}))
    assert found == Base(digest="f00d", location="/here", parameters=3)


def test_a_folder_without_these_files_is_no_adapter(tmp_path: Path) -> None:
    assert noted_base(tmp_path) is None


@pytest.mark.parametrize(
    ("settings", "base", "message"),
    [
        ({}, [], "base.json holds a list; wanted a JSON object"),
        ("[" * 100_000, {}, "adapter_config.json is nested too deeply"),
        ({}, {}, "do not name a base; wanted digest, parameters and base_model_name_or_path"),
        ({"base_model_name_or_path": "/x"}, {"digest": 3, "parameters": 3}, "do not name a base"),
        ({"base_model_name_or_path": None}, {"digest": "f00d", "parameters": 3}, "do not name a base"),
    ],
)
def test_damage_is_named(tmp_path: Path, settings: Any, base: Any, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        noted_base(folder(tmp_path, settings, base))
