"""Claims: what a command writes is its owner's alone, whatever the shell allows; what the user has set stays; Prefect
is not read before its settings are made.
"""

import os
import subprocess
import sys
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


def test_prefect_reads_its_settings_after_they_are_made(lethe_home: Path) -> None:
    ran = fresh("from flows.terminal import environment", "environment.prepare()", "import prefect.settings", STORAGE)
    assert ran.stdout.strip() == str(lethe_home / "results"), ran.stderr


def test_prefect_that_was_imported_too_early_is_refused(lethe_home: Path) -> None:
    """Claims: it would keep results outside the store, in silence."""
    ran = fresh("import prefect.settings", "from flows.terminal import environment", "environment.prepare()", STORAGE)
    assert ran.returncode and "prefect was imported before its settings were made" in ran.stderr


STORAGE = "print(prefect.settings.PREFECT_LOCAL_STORAGE_PATH.value())"


def fresh(*lines: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process to which nobody has said where Prefect keeps results."""
    variables = {name: value for name, value in os.environ.items() if name != "PREFECT_LOCAL_STORAGE_PATH"}
    program = [sys.executable, "-c", "\n".join(lines)]
    return subprocess.run(program, env=variables, capture_output=True, text=True, timeout=120, check=False)
