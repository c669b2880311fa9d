"""Claims: a run says whose account made it and from which commit; where there is no name, and no checkout, it says so
or nothing.
"""

import subprocess

import pytest

from tasks import tracking_source
from tasks.tracking_source import account, commit_tags, source_tags


def test_a_run_says_who_made_it_and_from_which_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ops")
    assert source_tags() == {"mlflow.user": "ops", "mlflow.source.name": "lethe", "mlflow.source.type": "LOCAL"}
    found = commit_tags()
    assert len(found["mlflow.source.git.commit"]) == 40
    assert found["lethe.git_dirty"] in ("true", "false")


@pytest.mark.parametrize("error", [KeyError, OSError, ImportError])
def test_an_account_without_a_name_is_unknown(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise error("uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert account() == "unknown"


def test_an_installed_package_is_in_no_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*words: object, **options: object) -> None:
        raise subprocess.CalledProcessError(128, "git")

    monkeypatch.setattr(tracking_source.subprocess, "run", none)
    assert commit_tags() == {}
