"""Models by the names that people give: a folder, a hub name, or what MLflow's registry has under an alias or a number.

    models:/NAME@ALIAS    models:/NAME/VERSION

What the registry has of ours is in the store, by the digest that the version names. Another's is fetched once, as the
folder that it was before it was logged.
"""

import hashlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tasks import store, tracking_registry
from tasks.artifacts import Artifact, BadInputError, CheckpointRef
from tasks.models.acceptance import require_known_head
from tasks.models.checkpoints import BEHAVIOUR, config_folder, inspect_model, option_of, read_settings
from tasks.tracking_registry import CHECKPOINT, Version

SCHEME = "models:/"
NAMED = re.compile(r"models:/(?P<name>[^/@:]+)(?:@(?P<alias>[^/@]+)|/(?P<number>\d+))")
WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
LOGGED = ("model", "components/tokenizer")
"""Folders of a model that MLflow's `transformers` logged: weights with their config, and the tokenizer."""


def gather_models(named: Mapping[str, str | None]) -> dict[str, CheckpointRef]:
    """Return the records of a run's models by label, and remember where they are, so that their adapters find them.

    Raises:
        BadInputError: As `find_model`, or if a model's logits are not what its output layer makes of its last hidden
            states.
    """
    models = {label: find_model(name, label) for label, name in named.items() if name}
    for model in models.values():
        require_known_head(model, read_settings(config_folder(model) / "config.json", model.name))
        store.note_place(model.digest, model.location)
    return models


def find_model(model: str, label: str) -> CheckpointRef:
    """Check a user's model and return its record; nothing is loaded.

    Args:
        model: A folder, a hub name, or one of the registry.
        label: What to call it in tables; or the option that gave it.

    Raises:
        BadInputError: If the registry has no such model, or as `inspect_model`.
    """
    if not model.startswith(SCHEME):
        return inspect_model(model, label)
    version = _version(model, option_of(label))
    if own := _in_store(version.tags.get(CHECKPOINT, "")):
        # the store's digest counts every file, and is the one that the registry knows it by
        return replace(inspect_model(str(store.path(own)), label), digest=own.digest)
    return inspect_model(_fetched(version, f"{option_of(label)} {model}"), label)


def version_uri(version: Version) -> str:
    """Return the name under which a version is found."""
    return f"{SCHEME}{version.name}/{version.number}"


def _version(model: str, option: str) -> Version:
    named = NAMED.fullmatch(model)
    if named is None:
        raise BadInputError(f"{option} {model}: wanted models:/NAME@ALIAS or models:/NAME/VERSION")
    number = named["number"] or tracking_registry.aliased(named["name"], named["alias"])
    found = tracking_registry.find_version(named["name"], number) if number else None
    if found is None:
        what = f"version {number}" if number else f"alias {named['alias']}"
        raise BadInputError(f"{option} {model}: the registry has no model {named['name']} with the {what}")
    return found


def _in_store(digest: str) -> Artifact | None:
    sensitivity = store.find("checkpoints", digest) if digest else None
    return Artifact(kind="checkpoints", digest=digest, sensitivity=sensitivity) if sensitivity else None


def _fetched(version: Version, given: str) -> str:
    """Return the folder of a version's files, which are fetched into the store where they are not yet."""
    key = hashlib.sha256(f"{version_uri(version)} {version.made} {version.run}".encode()).hexdigest()
    place = store.noted_place(key)
    if not place or not Path(place).is_dir():
        place = str(store.path(_fetch(version, given)))
        store.note_place(key, place)
    return place


def _fetch(version: Version, given: str) -> Artifact:
    with store.scratch() as scratch:
        root = tracking_registry.download(version, scratch)
        parts = [root] if (root / "config.json").is_file() else [root / part for part in LOGGED]
        if not (parts[0] / "config.json").is_file():
            raise BadInputError(f"{given}: what was logged is no model of MLflow's transformers flavor; wanted one")
        digest = store.put("checkpoints", lambda folder: _copy(parts, folder))
    return Artifact(kind="checkpoints", digest=digest, sensitivity="ordinary")


def _copy(parts: list[Path], folder: Path) -> None:
    """Copy what a model is made of, and nothing that could be run."""
    for part in parts:
        wanted = [*(part / name for name in BEHAVIOUR), *(file for kind in WEIGHTS for file in part.glob(kind))]
        for file in wanted:
            if file.is_file() and not (folder / file.name).exists():
                shutil.copyfile(file, folder / file.name)
