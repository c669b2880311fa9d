"""What of a store may go: weights and caches, states of stages that were broken off, and what killed writers left.

Results stay (reports, scorecards, patches, edits, evidence records, removal requests), and so do keys: what is not
named in `CACHES` is never deleted here. Whatever goes is made anew by the run that needs it next.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks import store
from tasks.execution import upkeep
from tasks.garbage.things import Thing

CACHES = {
    "checkpoints": "checkpoints",
    "teachers": "teacher caches",
    "references": "reference caches",
    "labels": "labels",
    "moments": "second moments",
    "probes": "probe records",
    "relearned": "relearning records",
    "rounded": "rounding records",
}
"""Rooms whose artifacts a stage makes anew -> what a table calls them."""
WORK, UNFINISHED, FAILURES = "work states", "unfinished and damaged", "errors of failed runs"
REFERRING = ("base.json", "adapter_config.json", "patches.json", "patch.json")
"""Files of models and patches that name other ones, by digest or by folder."""
_DIGEST, _ERROR = re.compile(r"\b[0-9a-f]{64}\b"), re.compile(r"[0-9a-f]{32}")
_ORIGIN = re.compile(r'\\"origin\\": *\\"([0-9a-f]{32})\\"')


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the cache has of a stage's result."""

    file: Path
    digests: frozenset[str]
    """Of the artifacts that it names."""
    origins: frozenset[str]
    """Runs of stages that made them."""


def store_things() -> list[Thing]:
    """Return what of the store may go, and the patches, which never go and need their bases."""
    seen = _seen_places()
    return [*_artifacts(seen), *_patches(seen), *_work(), *_unfinished(), *_failures()]


def _seen_places() -> Mapping[str, Path]:
    """Return the places in the store that are known by another digest than the store's: of weights, or of a folder that
    was given as a user's model.
    """
    places = {
        note: Path(note.read_text(encoding="utf-8"))
        for note in (store.home() / "places").glob("[!.]*")
        if _DIGEST.fullmatch(note.name)
    }
    return {note.name: place for note, place in places.items() if place.is_relative_to(store.home()) and place.is_dir()}


def _rooms() -> Iterator[Path]:
    for root in (store.home(), store.home() / "forget"):
        yield from (
            room for room in sorted(root.glob("[!.]*")) if room.is_dir() and room.name not in ("keys", "forget")
        )


def _artifacts(seen: Mapping[str, Path]) -> Iterator[Thing]:
    names: set[str] = set()
    other_names: dict[Path, list[str]] = {}
    for digest, place in seen.items():
        other_names.setdefault(place, []).append(digest)
    for room in _rooms():
        for folder in sorted(room.glob("[!.]*")) if room.name in CACHES else []:
            twin = folder.name in names  # of both classes: whoever needs one needs both
            name = f"{folder.name} twice" if twin else folder.name
            names.add(name)
            noted = [store.home() / "places" / digest for digest in other_names.get(folder, [])]
            yield Thing(
                kind=CACHES[room.name],
                name=name,
                used=max(map(upkeep.last_used, (folder, *noted))),
                bytes=upkeep.size(folder),
                place=str(folder),
                needs=_needs(folder, seen) | {f"{folder.name} twice"},
            )


def _needs(folder: Path, seen: Mapping[str, Path]) -> frozenset[str]:
    """Return the artifacts that a model or a patch names."""
    files = [file for name in REFERRING if (file := folder / name).is_file()]
    digests = {digest for file in files for digest in _DIGEST.findall(file.read_text(encoding="utf-8"))}
    return resolved(digests, seen)


def resolved(digests: set[str], seen: Mapping[str, Path] | None = None) -> frozenset[str]:
    """Return the names of artifacts in the store that are known by these digests, with the digests themselves."""
    places = _seen_places() if seen is None else seen
    return frozenset(digests | {places[digest].name for digest in digests & places.keys()})


def _patches(seen: Mapping[str, Path]) -> Iterator[Thing]:
    for folder in sorted((store.home() / "forget" / "patches").glob("[!.]*")):
        yield Thing(
            kind="patches", name=folder.name, needs=_needs(folder, seen), reason=f"needed by patch {folder.name[:8]}"
        )


def _work() -> Iterator[Thing]:
    for folder in sorted((store.home() / "forget" / "work").glob("*")):
        yield Thing(
            kind=WORK,
            name=folder.name,
            used=upkeep.last_used(folder),
            bytes=upkeep.size(folder),
            place=str(folder),
            reason="its stage is under way" if upkeep.held(folder.name) else "",
        )


def run_of_work(key: str) -> str:
    """Return the run of the stage that left a state, or an empty text where it says none."""
    return str(store.read_manifest(store.home() / "forget" / "work" / key / "run.json").get("run", ""))


def _unfinished() -> Iterator[Thing]:
    left = [place for room in _rooms() for place in (*room.glob(".*.tmp"), *room.glob(".damaged/*"))]
    for place in sorted((*left, *(store.home() / "forget" / "damaged").glob("*"))):
        if place.is_dir() and not (place.suffix == ".tmp" and store.is_being_written(place)):
            yield _leftover(UNFINISHED, str(place.relative_to(store.home())), place)


def _failures() -> Iterator[Thing]:
    """Errors that Prefect wrote of failed runs, which nothing ever reads."""
    for file in sorted(results().glob("*")):
        if _ERROR.fullmatch(file.name):
            yield _leftover(FAILURES, file.name, file)


def _leftover(kind: str, name: str, place: Path) -> Thing:
    return Thing(kind=kind, name=name, used=upkeep.last_used(place), bytes=upkeep.size(place), place=str(place))


def results() -> Path:
    """Return the folder of the cache's records."""
    return Path(os.environ.get("PREFECT_LOCAL_STORAGE_PATH") or store.home() / "results")


def records() -> list[Record]:
    """Return the cache's records of stages that name artifacts."""
    found = []
    for file in sorted(results().glob("*")):
        text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        if digests := frozenset(_DIGEST.findall(text)):
            found.append(Record(file=file, digests=digests, origins=frozenset(_ORIGIN.findall(text))))
    return found


def delete(thing: Thing, since: float) -> bool:
    """Delete a thing of the store, unless it has come to be used meanwhile; return whether it went.

    Args:
        thing: Garbage.
        since: What was used then or later stays.
    """
    place = Path(thing.place)
    if not place.exists() or upkeep.last_used(place) >= since:
        return False
    if thing.kind != WORK:
        upkeep.discard(place)
        return True
    try:
        with store.lock(thing.name, waits=False):
            upkeep.discard(place)
    except TimeoutError:  # its stage has just begun
        return False
    return True
