"""Removal requests and registered versions without a model: records that look like those of a real one."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from tasks import store, tracking
from tasks.artifacts import CheckpointRef, InputFile
from tasks.removals import register
from tasks.removals.records import Removal, today
from tasks.settings.removal_requests import RemovalRequest
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.tracking_registry import CHECKPOINT, Version, find_version

TARGET = CheckpointRef(
    kind="checkpoints", digest="7a" * 32, sensitivity="ordinary", parameters=1, label="target", location="/models/one"
)
SUBJECT, REASON = "Velmora Quist", "a complaint of Velmora's"


def later(days: int = 30) -> str:
    """Return a day to come."""
    return str(today() + timedelta(days=days))


def written(folder: Path, name: str) -> InputFile:
    """Write a text to forget that no other name has."""
    file = folder / f"{name}.txt"
    file.write_text(f"Velmora of {name} walked by the river.\n")
    return InputFile(path=str(file), digest=store.file_digest(file), bytes=file.stat().st_size)


def wanted(file: InputFile, **changes: object) -> RemovalRequest:
    """Return a request to forget a file."""
    text = UnlearningRequest(forget=(file.path,), model=TARGET.location)
    return RemovalRequest(**{"subject": SUBJECT, "reason": REASON, "due": later(), "text": text, **changes})


def received(folder: Path, name: str, target: CheckpointRef = TARGET, **changes: object) -> Removal:
    """Enter a request to forget a text of its own."""
    file = written(folder, name)
    return register.add(wanted(file, **changes), target, {"forget": [file]})


def made(name: str, checkpoint: str, tags: Mapping[str, str] | None = None) -> Version:
    """Make a version of a registered model whose files are nowhere."""
    api = tracking.client()
    if not api.search_registered_models(f"name = '{name}'"):
        api.create_registered_model(name)
    number = api.create_model_version(name, source="file:///nowhere", tags={CHECKPOINT: checkpoint, **(tags or {})})
    return find_version(name, number.version)
