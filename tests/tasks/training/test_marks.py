"""Claims: what was found at a step is kept through an interruption, whole or not at all, and a step that was never
taken has what is found at the end.
"""

from pathlib import Path

import pytest

from tasks import store
from tasks.execution import isolation
from tasks.training.marks import Marks


class Writer:
    """Writes how often it was called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        (folder / "found").write_text(str(self.calls))


def found(marks: Marks, folder: Path) -> dict[str, str]:
    marks.copy(folder)
    return {each.name: (each / "found").read_text() for each in folder.iterdir()}


def test_each_step_has_what_was_found_then(lethe_home: Path, tmp_path: Path) -> None:
    write = Writer()
    with Marks((1, 3), write) as marks:
        for step in range(1, 5):
            marks.passed(step)
        assert write.calls == 2
        assert found(marks, tmp_path / "copy") == {"1": "1", "3": "2"}


def test_a_step_that_was_never_taken_has_what_is_found_at_the_end(lethe_home: Path, tmp_path: Path) -> None:
    with Marks((1, 3), Writer()) as marks:
        marks.passed(1)
        assert found(marks, tmp_path / "copy") == {"1": "1", "3": "2"}


def test_outside_a_stage_nothing_is_left(lethe_home: Path, tmp_path: Path) -> None:
    with Marks((1,), Writer()) as marks:
        marks.passed(1)
    assert not [file for file in lethe_home.rglob("*") if file.is_file()]


def test_a_run_that_goes_on_has_what_the_one_before_found(
    lethe_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "current_key", lambda: "key")
    write = Writer()
    with pytest.raises(KeyboardInterrupt), Marks((1, 2, 3), write) as first:
        first.passed(1)
        raise KeyboardInterrupt
    with Marks((1, 2, 3), write) as second:
        second.passed(2)
        second.passed(3)
        assert found(second, tmp_path / "copy") == {"1": "1", "2": "2", "3": "3"}
    assert store.workspace("key").is_dir()


def test_half_of_what_was_to_be_written_is_written_anew(
    lethe_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "current_key", lambda: "key")

    def breaks(folder: Path) -> None:
        (folder / "other").write_text("half")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"), Marks((1,), breaks) as first:
        first.passed(1)
    with Marks((1,), Writer()) as second:
        assert found(second, tmp_path / "copy") == {"1": "1"}
    assert [file.name for file in (tmp_path / "copy" / "1").iterdir()] == ["found"]
