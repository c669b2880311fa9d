"""Registering a model that was made: a version that MLflow's registry really has, what is noted of it, and the aliases
that are its own.
"""

from collections.abc import Collection

from flows.steps.outcome import StageOf, Stages
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
    return f"{version.name} version {version.number}"


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


def report_places(stages: Stages, stage: str = "report") -> dict[str, str]:
    """Return where in MLflow the report without forgotten text is, as `report` and `link` of what is noted of a
    version: with the run of the stage that wrote it, in an earlier flow run perhaps.
    """
    run, path = stages.made_by.get(StageOf(stage), stages.run), "report/report-redacted.html"
    return {"report": f"runs:/{run}/{path}", "link": f"{tracking.run_page(run)}/artifacts/{path}"}
