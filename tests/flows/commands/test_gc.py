"""Claims: after gc the same command computes anew what went, and ends as before; --dry-run prints the list of what the
next gc deletes; a second gc deletes nothing.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.stand_ins.command import called, lethe
from tests.stand_ins.tiny import TinyTask


def gc(home: Path, *words: str) -> dict[str, Any]:
    file = home.parent / "gc.json"
    ended = lethe("gc", "--older-than", "0", "--json", file, *words, home=home)
    assert ended.returncode == 0, ended.stderr
    return json.loads(file.read_text())


def test_an_age_below_zero_is_refused(tmp_path: Path) -> None:
    assert called("gc", "--older-than", "-1", home=tmp_path / "lethe").returncode == 2


@pytest.mark.slow
def test_what_went_is_computed_anew(tiny_task: TinyTask, tmp_path: Path) -> None:
    home, file = tmp_path / "lethe", tmp_path / "result.json"
    words = (*tiny_task.words(), "--out", tmp_path / "out", "--json", file)
    assert lethe(*words, home=home).returncode == 0
    first = json.loads(file.read_text())
    planned, went, again = gc(home, "--dry-run"), gc(home), gc(home)
    assert [(row["kind"], row["goes"]) for row in planned["kinds"]] == [
        (row["kind"], row["goes"]) for row in went["kinds"]
    ]
    assert went["bytes"] == planned["bytes"] > 0
    assert (again["bytes"], sum(row["goes"] for row in again["kinds"])) == (0, 0)
    (kept,) = went["runs"]
    assert kept["store_bytes"] > 0
    assert kept["reason"].endswith("version 1")  # its weights stay
    assert lethe(*words, home=home).returncode == 0
    second = json.loads(file.read_text())
    assert set(second["stages"].values()) == {"Completed", "Cached"}
    assert second["scorecard"]["metrics"] == first["scorecard"]["metrics"]
