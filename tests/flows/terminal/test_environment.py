"""Claims: what a command writes is its owner's alone, whatever the shell allows; what the user has set stays."""

import os
from pathlib import Path

import pytest

from flows.terminal import environment


def test_what_is_written_is_its_owners_alone(tmp_path: Path, lethe_home: Path) -> None:
    before = os.umask(0o022)
    try:
        environment.prepare()
        (tmp_path / "report.html").write_text("Velmora")
        (tmp_path / "out").mkdir()
    finally:
        os.umask(before)
    assert (tmp_path / "report.html").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch, lethe_home: Path) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    before = os.umask(0o077)
    try:
        environment.prepare()
    finally:
        os.umask(before)
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
