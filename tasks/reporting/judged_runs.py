"""Finished runs as evidence records speak of them: the scorecard that a run keeps, and what the tracking server knows
of how it was made.
"""

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tasks import tracking
from tasks.artifacts import BadInputError
from tasks.reporting.cards import CARD, ITEMS, LEAST_PREFIX, download, find_file, find_run, read_card, search_runs
from tasks.store import DamagedArtifactError, file_digest
from tasks.tracking_server import tracking_uri, without_secrets

MOST_STAGES = 1000
CONFIG, CONFIG_DIGEST = "config.yaml", "lethe.config"
"""Artifact of a run with all its settings, and the tag that has the file's SHA-256."""
PARAM = "config."
"""What settings are called among the params of runs of earlier versions, which have no such file."""


@dataclass(frozen=True, kw_only=True)
class JudgedRun:
    """A run that ended with a scorecard."""

    record: Any
    """MLflow's, with `info`, `data` and `inputs`."""
    stages: Sequence[Any]
    """The runs nested in it, in the order in which they began."""
    card: dict[str, Any]
    """scorecard.v1."""
    files: dict[str, str]
    """Name of a file of the card -> its SHA-256."""
    settings: Mapping[str, str]
    """Dotted name of a setting -> its value."""


def judged_run(word: str) -> JudgedRun:
    """Return the run that a word of the command line leads to. Whatever names a run ends here, in the scorecard that
    the run itself keeps: a copy of it only says which run is meant.

    Args:
        word: A folder of `--out`, a scorecard, a file of `--json`, or an MLflow run id or a unique beginning of one.

    Raises:
        BadInputError: If it leads to no run, or to one that has not ended.
        DamagedArtifactError: If the run keeps another scorecard than it logged, or none.
    """
    file = find_file(word)
    run = _run_of(file) if file else find_run(word)
    name = run.info.run_id
    if run.info.status in ("RUNNING", "SCHEDULED"):
        raise BadInputError(f"run {name} is still under way; wanted one that has ended")
    with tempfile.TemporaryDirectory() as folder:
        found = {each: download(run, f"scorecard/{each}", Path(folder)) for each in (CARD, ITEMS)}
        card = _own_card(run, found[CARD])
        files = {each: file_digest(path) for each, path in found.items() if path}
        settings = _settings(run, download(run, CONFIG, Path(folder)))
    nested = f"tags.`mlflow.parentRunId` = '{name}' and tags.`lethe.stage` != ''"
    stages = search_runs(nested, MOST_STAGES, ["attributes.start_time ASC"])
    return JudgedRun(record=run, stages=stages, card=card, files=files, settings=settings)


def _settings(run: Any, file: Path | None) -> dict[str, str]:
    """Return all settings of a run, if its file of them is the one that it logged."""
    wanted = run.data.tags.get(CONFIG_DIGEST)
    if wanted is None:  # of an earlier version
        return {name.removeprefix(PARAM): value for name, value in run.data.params.items() if name.startswith(PARAM)}
    if file is None or file_digest(file) != wanted:
        raise DamagedArtifactError(f"run {run.info.run_id} does not keep the settings that it logged, {CONFIG}")
    return {name: str(value) for name, value in tracking.flatten(yaml.safe_load(file.read_text("utf-8"))).items()}


def _own_card(run: Any, file: Path | None) -> dict[str, Any]:
    """Return the scorecard that a run keeps, if it is the one that it logged; runs of earlier versions do not say."""
    with contextlib.suppress(BadInputError):
        card = read_card(file) if file else None
        if card and run.data.tags.get(tracking.CARD_DIGEST) in (tracking.card_digest(card), None):
            return card
    raise DamagedArtifactError(f"run {run.info.run_id} does not keep the scorecard that it logged, scorecard/{CARD}")


def _run_of(file: Path) -> Any:
    """Return the run that made the scorecard in a file; of those that took it from the cache, none."""
    digest = tracking.card_digest(read_card(file))
    runs = search_runs(f"tags.`{tracking.CARD_DIGEST}` = '{digest}'", 1, ["attributes.start_time ASC"])
    if not runs:
        raise BadInputError(
            f"{file}: no run of {without_secrets(tracking_uri())} logged this scorecard; wanted one as a run wrote it,"
            f" or {LEAST_PREFIX} or more letters of an MLflow run id"
        )
    return runs[0]
