"""Stage `registration`: the unlearned model as a version of a registered MLflow model."""

from dataclasses import dataclass

from tasks import tracking, tracking_registry
from tasks.artifacts import CheckpointRef
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.models.loading import load_model, load_tokenizer


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """A version in the model registry."""

    name: str
    version: str


@stage("registration")
def register(unlearned: CheckpointRef, name: str, tracking_uri: str, run: str | None = None) -> ModelVersion | None:
    """Log and register the unlearned model; `tracking_uri` says where, so that another server gets its own version."""
    with tracking.stage_run(run, "registration") as nested:
        progress.report(0, 1)
        version = _register(nested, unlearned, name) if nested else None
        progress.report(1, 1)
        return ModelVersion(name=name, version=version) if version else None


def _register(run: str, unlearned: CheckpointRef, name: str) -> str:
    model, tokenizer = load_model(unlearned), load_tokenizer(unlearned)
    return tracking_registry.register_model(run, model, tokenizer, name, unlearned.label, unlearned.digest)
