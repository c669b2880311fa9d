"""Prefect's and MLflow's databases as a first run makes them, made once for all workers and not by every test that has
a home of its own: the libraries build theirs migration by migration.
"""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

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


def give_flow_runs(prefect: Path, name: str = "prefect.db") -> None:
    """Give a PREFECT_HOME that does not exist yet its database."""
    if not prefect.exists():
        prefect.mkdir(parents=True)
        shutil.copy(_flow_runs(), prefect / name)


@functools.cache
def _runs() -> Path:
    return _made("LETHE_HOME", ["-c", RUNS]) / "mlflow.db"


@functools.cache
def _flow_runs() -> Path:
    return _made("PREFECT_HOME", ["-m", "prefect", "server", "database", "upgrade", "--yes"]) / "prefect.db"


def _made(variable: str, words: list[str]) -> Path:
    """Return the home that Python with these words fills, in the folder that is dropped after the tests; whoever comes
    second waits.
    """
    home = Path(os.environ["LETHE_TESTS"]) / f"first-{variable}"
    with FileLock(f"{home}.lock"):
        if not home.exists():
            filling = home.with_suffix(".filling")
            root = Path(__file__).resolve().parents[2]
            changed = os.environ | {variable: str(filling)}
            subprocess.run([sys.executable, *words], cwd=root, env=changed, check=True, capture_output=True)
            filling.rename(home)
    return home
