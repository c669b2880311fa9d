"""The register of removal requests: who asked for what, until when, and what has become of it.

A request is an entry in MLflow (`tracking_requests`) with what may be public: id, states, times, digests. Whom it is
about, why, and which files it names is a forget artifact in the store, which the entry refers to; the text itself is
kept in neither. What `purge` deletes of it is gone: the entry stays, as evidence that there was one.

    received -> running -> verified | failed -> running -> ...        and to superseded or cancelled, which are final
"""

import json
import random
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path

from tasks import store, tracking_registry, tracking_requests
from tasks.artifacts import Artifact, BadInputError, CheckpointRef, InputFile
from tasks.removals.records import Change, Details, Removal, made_now, require_to_come
from tasks.settings.removal_requests import RemovalRequest
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.storage.plain_files import read_json, write_json
from tasks.tracking_requests import Entry

LOCK = "removal-requests"
"""Key of the lock on the register."""
ROOM, FILE = "requests", "request.json"
ID = re.compile(r"R-\d{4,}")
SHORT = re.compile(r"[rR]-?(\d{1,9})")
"""How people write one."""
ENTRY = "lethe.request"
"""Tag with the id, and the beginning of all others."""
CHANGE = f"{ENTRY}.change."
"""Beginning of the tags that are the history, one for each change: they are numbered."""


def forget_digest(files: Sequence[InputFile]) -> str:
    """Return the keyed digest of text: of its file, or of all its files in whatever order."""
    digests = sorted(file.digest for file in files)
    return store.keyed(digests[0] if len(digests) == 1 else "\n".join(digests))


def base_of(target: CheckpointRef) -> str:
    """Return the digest of the model that a target was made of by earlier requests; its own where it was by none."""
    made = tracking_registry.versions_with(tracking_registry.CHECKPOINT, target.digest)
    return next((base for version in made if (base := version.tags.get("lethe.base"))), target.digest)


def add(request: RemovalRequest, target: CheckpointRef, inputs: Mapping[str, Sequence[InputFile]]) -> Removal:
    """Enter a request.

    Args:
        request: What it says; files and a model's folder by absolute path.
        target: Its model.
        inputs: Its files by split, checked.

    Raises:
        BadInputError: If its day has passed.
    """
    due = require_to_come(request.due)
    tags = {
        f"{ENTRY}.due": due.isoformat(),
        f"{ENTRY}.method": request.method,
        f"{ENTRY}.target": target.digest,
        f"{ENTRY}.base": base_of(target),
        f"{ENTRY}.model": store.keyed(request.text.model),
        f"{ENTRY}.forget": forget_digest(inputs["forget"]),
        f"{ENTRY}.details": _keep(request, inputs),
        f"{ENTRY}.approve": str(request.approve).lower(),
        f"{CHANGE}0001": made_now("received").as_text(),
        f"{ENTRY}.state": "received",
        "mlflow.note.content": "A removal request; `lethe request show` tells more to whoever has its store.",
    }
    return _enter(tags)


def _keep(request: RemovalRequest, inputs: Mapping[str, Sequence[InputFile]]) -> str:
    """Keep what is not public; its digest is, and tells nothing to whoever guesses what is in it."""
    digests = {split: [file.digest for file in files] for split, files in inputs.items()}
    value = {"request": asdict(request), "inputs": digests, "salt": secrets.token_hex(16)}
    return store.put(ROOM, lambda folder: write_json(folder / FILE, value), sensitivity="forget")


def _enter(tags: Mapping[str, str]) -> Removal:
    """Make the entry under the next id. Whoever shares this store waits; of others who share the MLflow server, whoever
    finds an id taken after having claimed it takes the next: two that claim one see each other.
    """
    with store.lock(LOCK):
        name = _next()
        entry = tracking_requests.make_entry(name, {ENTRY: name, **tags})
        while len(tracking_requests.entries(_by_id(name), deleted=True)) > 1:
            time.sleep(random.random() / 5)
            name = _next()
            tracking_requests.amend_entry(entry, {ENTRY: name}, name)
    return find(name)


def _next() -> str:
    taken = [entry.tags.get(ENTRY, "") for entry in tracking_requests.entries(deleted=True)]
    return f"R-{1 + max((int(name[2:]) for name in taken if ID.fullmatch(name)), default=0):04d}"


def _by_id(name: str) -> str:
    return f"tags.`{ENTRY}` = '{name}'"


def is_id(word: str) -> bool:
    """Return whether a word is meant as a request's id: no file of that name lies here."""
    return bool(SHORT.fullmatch(word.strip())) and not Path(word).exists()


def find(name: str) -> Removal:
    """Return a request by id; `r-1` is R-0001.

    Raises:
        BadInputError: If there is none.
    """
    short = SHORT.fullmatch(name.strip())
    found = tracking_requests.entries(_by_id(f"R-{int(short[1]):04d}")) if short else []
    if not found:
        raise BadInputError(f"removal request {name!r}: there is none; wanted an id that `lethe request list` shows")
    return _read(found[0])


def all_requests() -> list[Removal]:
    """Return all requests, the earliest first."""
    found = [_read(entry) for entry in tracking_requests.entries() if ID.fullmatch(entry.tags.get(ENTRY, ""))]
    return sorted(found, key=lambda removal: int(removal.id[2:]))


def on_same_model(base: str, model: str = "") -> list[Removal]:
    """Return the requests in force on a model: of the same weights, or of the same folder or hub name.

    Args:
        base: Digest of the weights.
        model: What a request says of the folder or name.
    """
    return [one for one in all_requests() if one.is_in_force and (one.base == base or (model and one.model == model))]


def _read(entry: Entry) -> Removal:
    tags = entry.tags
    changes = [json.loads(value) for name, value in sorted(tags.items()) if name.startswith(CHANGE)]
    own = {name: tags[f"{ENTRY}.{name}"] for name in ("method", "target", "base", "model", "forget", "details")}
    return Removal(
        id=tags[ENTRY],
        entry=entry.id,
        history=tuple(Change(**change) for change in changes),
        due=date.fromisoformat(tags[f"{ENTRY}.due"]),
        approve=tags[f"{ENTRY}.approve"] == "true",
        superseded_by=tags.get(f"{ENTRY}.superseded_by", ""),
        **own,
    )


def read_details(removal: Removal) -> Details:
    """Return what of a request is not public.

    Raises:
        BadInputError: If it was purged, is in another store, or damaged.
    """
    try:
        folder = store.path(Artifact(kind=ROOM, digest=removal.details, sensitivity="forget"))
    except store.DamagedArtifactError:
        raise BadInputError(
            f"{removal.id}: what it names was purged, or is in another store; wanted it there (LETHE_HOME), or the"
            " request entered anew"
        ) from None
    value = read_json(folder / FILE)
    text = {name: tuple(each) if isinstance(each, list) else each for name, each in value["request"]["text"].items()}
    request = RemovalRequest(**{**value["request"], "text": UnlearningRequest(**text)})
    return Details(request=request, inputs=value["inputs"])


def require_unchanged(removal: Removal, inputs: Mapping[str, Sequence[InputFile]]) -> None:
    """Refuse text to forget that is not what the request was made of.

    Raises:
        BadInputError: If it is not.
    """
    if forget_digest(inputs["forget"]) != removal.forget:
        raise BadInputError(
            f"{removal.id}: the text to forget is not what it was when the request was received; wanted the same"
            f" files, or a new request: lethe request add --supersedes {removal.id}"
        )
