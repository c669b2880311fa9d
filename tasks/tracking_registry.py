"""MLflow's registry of models: versions, what is noted of them, and the aliases that point to them. Notes are public:
no forgotten text in them.
"""

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.tracking_server import as_global_uri, client

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHECKPOINT = "lethe.checkpoint"
"""Tag of a version: the digest of its weights and tokenizer."""
NOTE_LENGTH = 5000
"""Letters of a tag that MLflow keeps."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version of a registered model, as the registry has it now."""

    name: str
    number: int
    made: int
    """When: milliseconds of the epoch."""
    run: str
    """The tracked run that made it."""
    tags: Mapping[str, str]
    model: str = ""
    """MLflow's id of the logged model that it is of."""


def register_model(run: str, model: Any, tokenizer: Any, name: str, label: str, checkpoint: str) -> str:
    """Log a model with its tokenizer to the run, register it and return its version.

    Args:
        run: Id of the tracked run.
        model: The model.
        tokenizer: Its tokenizer.
        name: Of the registered model, made if need be.
        label: What the logged model is called in the run.
        checkpoint: Digest of what is registered, by which the version is recognised.
    """
    from importlib.metadata import version

    import mlflow
    from transformers.pipelines import SUPPORTED_TASKS, TextGenerationPipeline

    # transformers 5.23 keeps a name here, mlflow 3.17 wants the class
    SUPPORTED_TASKS["text-generation"]["impl"] = TextGenerationPipeline
    quiet = contextlib.redirect_stdout(None), contextlib.redirect_stderr(io.StringIO())
    with as_global_uri(), mlflow.start_run(run_id=run), quiet[0], quiet[1]:
        info = mlflow.transformers.log_model(
            {"model": model, "tokenizer": tokenizer},
            name=label,
            task="text-generation",
            registered_model_name=name,
            pip_requirements=[f"{library}=={version(library)}" for library in ("transformers", "torch")],
        )
    number = str(info.registered_model_version)
    client().set_model_version_tag(name, number, CHECKPOINT, checkpoint)
    return number


def find_version(name: str, number: str | int) -> Version | None:
    """Return a version, or None where the registry has none: it may have been deleted there."""
    from mlflow.exceptions import MlflowException

    try:
        return _read(client().get_model_version(name, str(number)))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def versions(name: str) -> list[Version]:
    """Return all versions of a registered model, the newest first; none where there is no such model."""
    return _search(f"name = '{name}'")


def versions_with(tag: str, value: str) -> list[Version]:
    """Return the versions of all registered models that have a tag of this value, the newest of each model first."""
    return _search(f"tags.`{tag}` = '{value}'")


def all_versions() -> list[Version]:
    """Return the versions of all registered models, also of others' models."""
    return _search("")


def _search(query: str) -> list[Version]:
    api, found, token = client(), [], None
    while True:
        page = api.search_model_versions(query or None, max_results=1000, page_token=token)
        found, token = [*found, *map(_read, page)], page.token
        if not token:
            return sorted(found, key=lambda version: (version.name, -version.number))


def _read(found: "ModelVersion") -> Version:
    return Version(
        name=found.name,
        number=int(found.version),
        made=int(found.creation_timestamp),
        run=found.run_id or "",
        tags=dict(found.tags),
        model=found.source.partition("models:/")[2],
    )


def show_on(run: str, version: Version) -> None:
    """Name a version's model among what a run brought about, so that MLflow shows the registered model with it, be it
    this run's stage that made it or an earlier one's.
    """
    from mlflow.entities import LoggedModelOutput

    if version.model:
        client().log_outputs(run, [LoggedModelOutput(version.model, 0)])


def note_version(version: Version, tags: Mapping[str, str], description: str | None = None) -> Version:
    """Set tags of a version, and its description where one is given; return it as it is now."""
    api, number = client(), str(version.number)
    for name, value in tags.items():
        if version.tags.get(name) != value:
            api.set_model_version_tag(version.name, number, name, value[:NOTE_LENGTH])
    if description is not None:
        api.update_model_version(version.name, number, description)
    return replace(version, tags={**version.tags, **tags})


def aliased(name: str, alias: str) -> int | None:
    """Return the number of the version that an alias points to, or None."""
    from mlflow.exceptions import MlflowException

    try:
        return int(client().get_model_version_by_alias(name, alias).version)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):  # no model, no alias
            raise
        return None


def set_alias(version: Version, alias: str) -> None:
    """Point an alias of a registered model to a version."""
    client().set_registered_model_alias(version.name, alias, str(version.number))


def download(version: Version, folder: Path) -> Path:
    """Fetch what was logged of a version into an empty folder, and return where it is."""
    import mlflow

    with as_global_uri():
        uri = f"models:/{version.name}/{version.number}"
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))
