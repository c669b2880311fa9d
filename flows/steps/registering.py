"""Registering a model that was made: a version that MLflow's registry really has, what is noted of it, and the aliases
that are its own.
"""

from collections.abc import Collection, Mapping
from typing import Any

from flows.steps.outcome import StageOf, Stages
from flows.steps.verdict_state import in_words
from tasks import tracking, tracking_registry
from tasks.artifacts import CheckpointRef
from tasks.registration import ModelVersion, register
from tasks.removals import aliases
from tasks.removals.aliases import Made
from tasks.tracking_registry import CHECKPOINT, Version


def registered(stages: Stages, unlearned: CheckpointRef, name: str, made: Made, requests: Collection[str] = ()) -> str:
    """Register a model, note how it was made, and move the aliases that the policy gives it.

    Args:
        stages: The run's stages.
        unlearned: The model.
        name: Of the registered model.
        made: How it was made and judged.
        requests: Ids of the removal requests in force on its model.

    Returns:
        Registered model and version, in words; empty where nothing is tracked.
    """
    version = _version(stages, unlearned, name)
    if version is None:
        return ""
    aliases.consider(aliases.note(version, made), requests)
    tracking_registry.show_on(stages.run, version)
    words = f"{version.name} version {version.number}"
    tracking.add_note(stages.run, f"Registered as [{words}](#/models/{version.name}/versions/{version.number}).")
    return words


def _version(stages: Stages, unlearned: CheckpointRef, name: str) -> Version | None:
    """Return the version of a model; one that the cache tells of and the registry has no longer is made anew."""
    call = (unlearned, name, tracking.tracking_uri(), stages.run)
    made: ModelVersion | None = stages.result("registration", register.submit(*call))
    if made is None:
        return None
    found = tracking_registry.find_version(made.name, made.version)
    if found is None or found.tags.get(CHECKPOINT) != unlearned.digest:  # of a model that was deleted and made again
        again = register.with_options(refresh_cache=True)
        made = stages.result("registration", again.submit(*call))
        found = tracking_registry.find_version(made.name, made.version)
    return found


def tell_verdict(stages: Stages, card: Mapping[str, Any], stage: str = "report") -> None:
    """Let the run's description say how its model was judged, and lead to the report without forgotten text.

    Args:
        stages: The run's stages.
        card: scorecard.v1.
        stage: The one that wrote the report.
    """
    words = f"**{in_words(card['verdict'])}.**"
    if tracking.find_run(stages.made_by.get(StageOf(stage), stages.run)):
        words += f" [Report without forgotten text]({report_places(stages, stage)['link']})."
    tracking.add_note(stages.run, words)


def report_places(stages: Stages, stage: str = "report") -> dict[str, str]:
    """Return where in MLflow the report without forgotten text is, as `report` and `link` of what is noted of a
    version: with the run of the stage that wrote it, in an earlier flow run perhaps.
    """
    run, path = stages.made_by.get(StageOf(stage), stages.run), "report/report-redacted.html"
    return {"report": f"runs:/{run}/{path}", "link": f"{tracking.run_page(run)}/artifacts/{path}"}
