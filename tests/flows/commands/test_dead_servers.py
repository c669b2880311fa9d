"""Claims: commands that ask the tracking server before any flow begins name one that does not answer, in one line."""

from pathlib import Path

import pytest

from tasks import tracking_server
from tests.stand_ins.command import called

DEAD = "http://127.0.0.1:9"


@pytest.mark.parametrize("words", [["compare", "01234567", "89abcdef"], ["certificate", "make", "01234567"]])
def test_a_tracking_server_that_does_not_answer_is_one_line(
    lethe_home: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)
    monkeypatch.setattr(tracking_server, "_ready", set())
    ended = called(*words, home=lethe_home)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith(f"lethe: the MLflow server {DEAD} cannot be used: ")
