"""Claims: a place where nothing can be written is found out before anything is done, in one line; a result that is
written over a file is its owner's alone.
"""

from pathlib import Path

import pytest
import typer

from flows.terminal.running import plain_errors, plain_failures, write_json


def refusal(out: Path | str | None, file: Path | str | None, capsys: pytest.CaptureFixture) -> str:
    with pytest.raises(typer.Exit) as ended, plain_errors(out and str(out), file and str(file)):
        pytest.fail("it went on")
    assert ended.value.exit_code == 2
    return capsys.readouterr().err


def test_outputs_that_cannot_be_written_are_refused_first(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    assert "is no folder" in refusal(tmp_path / "file", None, capsys)
    assert "is no folder" in refusal(" ", None, capsys)
    assert "file is no folder; wanted one" in refusal(tmp_path / "file" / "below", None, capsys)
    assert "is no file in a folder that exists" in refusal(None, tmp_path / "missing" / "x.json", capsys)
    assert "is no file in a folder that exists" in refusal(None, tmp_path, capsys)


def test_what_belongs_to_somebody_else_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda place, mode: False)
    assert f"{tmp_path} cannot be written" in refusal(tmp_path / "new", None, capsys)
    assert f"{tmp_path} cannot be written" in refusal(None, tmp_path / "new.json", capsys)


def test_what_can_be_written_is_let_pass(tmp_path: Path) -> None:
    with plain_errors(str(tmp_path / "a" / "b"), str(tmp_path / "x.json")):
        assert not list(tmp_path.iterdir())  # and nothing is made


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (RuntimeError("the disk\n is full"), 1, "lethe: the disk is full\n"),
        (MemoryError(), 1, "lethe: MemoryError\n"),
        (ValueError("it is no number"), 2, "lethe: it is no number\n"),
        (typer.Exit(3), 3, ""),
    ],
)
def test_what_fails_without_a_flow_is_one_line_too(
    error: Exception, status: int, line: str, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(typer.Exit) as ended, plain_failures(), plain_errors():
        raise error
    assert (ended.value.exit_code, capsys.readouterr().err) == (status, line)


def test_whoever_stops_it_is_not_taken_for_a_failure() -> None:
    with pytest.raises(KeyboardInterrupt), plain_failures():
        raise KeyboardInterrupt


def test_a_result_over_a_file_that_others_can_read_is_its_owners_alone(tmp_path: Path, lethe_home: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text("{}")
    file.chmod(0o644)
    write_json(str(file), {"anchors": ["Velmora"]})
    assert file.stat().st_mode & 0o777 == 0o600
    assert "Velmora" in file.read_text()
