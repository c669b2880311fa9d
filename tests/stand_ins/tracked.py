"""What a run has logged of its settings."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from tasks import tracking
from tasks.reporting.judged_runs import CONFIG


def settings_of(run: str) -> dict[str, Any]:
    """Return all settings of a run by their dotted names."""
    with TemporaryDirectory() as folder:
        file = Path(tracking.client().download_artifacts(run, CONFIG, folder))
        return tracking.flatten(yaml.safe_load(file.read_text()))
