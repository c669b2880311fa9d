"""Prefect's and MLflow's databases as a first run makes them, made once in this process and not by every test that has
a home of its own: the libraries build theirs migration by migration.
"""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

RUNS = """
from flows.terminal import environment
environment.prepare()
from tasks import tracking
tracking.client()
"""


def give_runs(home: Path) -> None:
    """Give a LETHE_HOME that does not exist yet the database of runs."""
    if not home.exists():
        home.mkdir(mode=0o700, parents=True)
        shutil.copy(_runs(), home)


def give_flow_runs(prefect: Path) -> None:
    """Give a PREFECT_HOME that does not exist yet its database."""
    if not prefect.exists():
        prefect.mkdir(parents=True)
        shutil.copy(_flow_runs(), prefect)


@functools.cache
def _runs() -> Path:
    return _make("LETHE_HOME", ["-c", RUNS]) / "mlflow.db"


@functools.cache
def _flow_runs() -> Path:
    return _make("PREFECT_HOME", ["-m", "prefect", "server", "database", "upgrade", "--yes"]) / "prefect.db"


def _make(variable: str, words: list[str]) -> Path:
    """Run Python with a home of its own, in the folder that is dropped after the tests."""
    home = Path(tempfile.mkdtemp(prefix="made-", dir=Path(os.environ["PREFECT_HOME"]).parent))
    root = Path(__file__).resolve().parents[2]
    subprocess.run(
        [sys.executable, *words], cwd=root, env=os.environ | {variable: str(home)}, check=True, capture_output=True
    )
    return home
