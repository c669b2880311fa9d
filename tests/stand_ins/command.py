"""The `lethe` command in a process of its own, with a home of its own."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from tests.stand_ins.databases import give_flow_runs, give_runs
from tests.stand_ins.waiting import end_of

ROOT = Path(__file__).resolve().parents[2]


def environment(home: Path, *, new: bool = False, **changes: str) -> dict[str, str]:
    """Return the environment of a command whose LETHE_HOME is `home`; Prefect's is beside it.

    Args:
        home: It has a database of runs already, and Prefect's is there too, where neither existed.
        new: Not so: the command is to make them.
        changes: Further variables.
    """
    prefect = home.parent / "prefect"
    if not new:
        give_runs(home)
        give_flow_runs(prefect)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    own = {
        "LETHE_HOME": str(home),
        "PREFECT_HOME": str(prefect),
        "LETHE_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "160",
    }
    return inherited | own | changes


def start(
    *words: str | Path, home: Path, error: Path | None = None, new: bool = False, **changes: str
) -> subprocess.Popen[str]:
    """Start `lethe` with these words; its standard error goes to a file where one is given."""
    command = [sys.executable, "-m", "flows.cli", *(str(word) for word in words)]
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(error.open("w")) if error else subprocess.PIPE
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(home, new=new, **changes),
            stdout=subprocess.PIPE,
            stderr=target,
            text=True,
        )


def called(*words: str | Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Call the command's entry point in this process, which spares its imports; for what ends before any
    flow begins.
    """
    from flows.cli import main

    out, error = io.StringIO(), io.StringIO()
    argv = ["lethe", *(str(word) for word in words)]
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, {"LETHE_HOME": str(home), "COLUMNS": "160"}))
        stack.enter_context(mock.patch.object(sys, "argv", argv))
        stack.enter_context(mock.patch("flows.steps.interruption.listen"))  # signals are the test runner's
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(error))
        ended = stack.enter_context(pytest.raises(SystemExit))
        main()
    return subprocess.CompletedProcess(argv, int(str(ended.value.code)), out.getvalue(), error.getvalue())


def lethe(*words: str | Path, home: Path, new: bool = False, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run `lethe` with these words to its end."""
    with start(*words, home=home, new=new, **changes) as process:
        return end_of(process, home)
