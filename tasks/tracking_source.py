"""Where a tracked run comes from: whose account, which code, at which commit."""

import getpass
import subprocess
from pathlib import Path

SOURCE = "mlflow.source.name"
"""MLflow's tag of a run: by which code it was made."""


def account() -> str:
    """Return the name of the account that this process runs under; a container may have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"


def source_tags() -> dict[str, str]:
    """Return the tags that fill MLflow's columns `Created by` and `Source`; whoever knows the code better names it."""
    return {"mlflow.user": account(), SOURCE: "lethe", "mlflow.source.type": "LOCAL"}


def commit_tags() -> dict[str, str]:
    """Return commit and state of the checkout that this code is in; nothing where it is in none."""
    root = Path(__file__).resolve().parent.parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return {
            "mlflow.source.git.commit": git("rev-parse", "HEAD"),
            "lethe.git_dirty": str(bool(git("status", "--porcelain"))).lower(),
        }
    except (OSError, subprocess.SubprocessError):
        return {}
