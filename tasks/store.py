"""Content-addressed files under LETHE_HOME: atomic, checked on read, and wiped by `purge`.

    LETHE_HOME/<kind>/<digest>/           ordinary and public artifacts
    LETHE_HOME/forget/<kind>/<digest>/    artifacts that hold what is to be forgotten
    LETHE_HOME/work/<key>/                state of a stage that has not finished
    LETHE_HOME/places/<digest>            where a model outside the store was last seen
    LETHE_HOME/forget/scratch/            files on their way to somewhere else, such as the tracking server
    LETHE_HOME/flow-runs/<id>             where Prefect keeps a flow run, for `purge`
    LETHE_HOME/forms/<id>                 that a form of a flow run lies on its server
    LETHE_HOME/keys/                      what evidence records are signed with
    LETHE_HOME/services/                  what is known of the servers of `lethe up`
    LETHE_HOME/undelivered/               metrics that their server has not got yet
    LETHE_HOME/locks/  damaged/  results/  studies/

The time of an artifact's manifest is that of its last use, by which `gc` goes.

An artifact is written under a temporary name, synced, and renamed to its digest; its `manifest.json` lists the SHA-256
of each file, its sensitivity and, for forget artifacts, until when it is kept. What a killed writer left goes when the
next artifact of its kind is written.
"""

import hashlib
import hmac
import json
import logging
import math
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.artifacts import Artifact, Sensitivity

MANIFEST = "manifest.json"
RETENTION_DAYS = 90
"""Days that forget artifacts are kept, unless LETHE_RETENTION_DAYS says otherwise."""

_log = logging.getLogger(__name__)
_checked: set[str] = set()
_exposed: set[Path] = set()
"""Folders and files whose rights could not be taken from others, which is said once."""


class DamagedArtifactError(RuntimeError):
    """An artifact is missing or does not match its manifest."""


@dataclass(frozen=True, kw_only=True)
class Purged:
    """What `purge` removed."""

    artifacts: int
    bytes: int


def home() -> Path:
    """Return LETHE_HOME: the environment's, else `.lethe` at the root of the checkout, else the user's data folder;
    made, 0700.
    """
    checkout = Path(__file__).resolve().parent.parent
    if chosen := os.environ.get("LETHE_HOME"):
        folder = Path(chosen).expanduser().resolve()
    elif (checkout / "pyproject.toml").is_file():
        folder = checkout / ".lethe"
    else:
        import platformdirs

        folder = Path(platformdirs.user_data_dir("lethe"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    keep_private(folder)
    return folder


def keep_private(place: Path) -> None:
    """Take the rights to a folder or file from all but its owner; it may have been made by somebody who did not know
    what it would hold.
    """
    if place.stat().st_mode & 0o077 and place not in _exposed:
        try:
            place.chmod(0o700 if place.is_dir() else 0o600)
        except OSError as error:
            _exposed.add(place)
            _log.warning("%s can be read by others, and that cannot be changed (%s)", place, error.strerror)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def put(kind: str, writer: Callable[[Path], None], *, sensitivity: Sensitivity = "ordinary") -> str:
    """Store what `writer` writes and return its digest.

    Args:
        kind: Room of the store.
        writer: Called with an empty folder to fill; if it raises, nothing is left behind.
        sensitivity: Class of the artifact; `forget` puts it into a subtree of its own.

    Returns:
        Digest over the content. The same content is stored once.
    """
    room = _room(kind, sensitivity)
    room.mkdir(mode=0o700, parents=True, exist_ok=True)
    _clear_abandoned(room)
    temporary = temporary_in(room)
    try:
        writer(temporary)
        sums = _sums(temporary)
        digest = hashlib.sha256(json.dumps([kind, sums], sort_keys=True).encode()).hexdigest()
        _write_manifest(temporary, kind, sums, sensitivity)
        _settle(temporary, room / digest)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return digest


def _moment() -> str:
    """Return a name that no other thread of this process gets: two may ask at the same nanosecond."""
    return f"{time.monotonic_ns()}.{threading.get_ident()}"


def temporary_in(room: Path) -> Path:
    """Make a folder that is taken for a killed writer's once this process has ended."""
    folder = room / f".{socket.gethostname()}-{os.getpid()}-{_moment()}.tmp"
    folder.mkdir(mode=0o700)
    return folder


def _clear_abandoned(room: Path) -> None:
    """Delete what writers of this machine that were killed have left: it may hold what is to be forgotten."""
    for folder in room.glob(f".{socket.gethostname()}-*.tmp"):
        if not is_being_written(folder):
            shutil.rmtree(folder, ignore_errors=True)


def is_being_written(temporary: Path) -> bool:
    """Return whether a temporary folder is that of a process of this machine that runs."""
    host, process = temporary.name.rsplit("-", 2)[:2]
    return host == f".{socket.gethostname()}" and alive(int(process))


def alive(process: int) -> bool:
    """Return whether a process of this machine runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _settle(temporary: Path, final: Path) -> None:
    """Sync the folder and rename it; an intact artifact of that name stays, a damaged one is set aside."""
    if final.exists() and not _faults(final):
        return
    if final.exists():
        _set_aside(final)
    for path in [*temporary.rglob("*"), temporary]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    try:
        temporary.rename(final)
    except OSError:
        if not final.exists():  # else another process has just put the same content there
            raise


def _sums(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): file_digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def _write_manifest(folder: Path, kind: str, sums: dict[str, str], sensitivity: Sensitivity) -> None:
    made = time.time()
    manifest: dict[str, Any] = {"kind": kind, "sensitivity": sensitivity, "created": made, "files": sums}
    if sensitivity == "forget":
        manifest["keep_until"] = made + retention_s()
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))


def _room(kind: str, sensitivity: Sensitivity) -> Path:
    return home() / "forget" / kind if sensitivity == "forget" else home() / kind


def path(artifact: Artifact) -> Path:
    """Return the folder of an artifact, after its files have been checked against the manifest (once a process).

    Raises:
        DamagedArtifactError: If it is missing or damaged; a damaged one is set aside, so that the stage makes it anew.
    """
    if artifact.location:
        return Path(artifact.location)
    folder = _room(artifact.kind, artifact.sensitivity) / artifact.digest
    if artifact.digest not in _checked or not folder.exists():
        if faults := _faults(folder):
            if folder.exists():
                _set_aside(folder)
            raise DamagedArtifactError(
                f"artifact {artifact.kind}/{artifact.digest[:12]}: {faults}; run again to make it anew"
            )
        _checked.add(artifact.digest)
    with suppress(OSError):  # a store that is read alone
        os.utime(folder / MANIFEST)  # when it was used last
    return folder


def intact(artifact: Artifact) -> bool:
    """Return whether an artifact can be read; a damaged one is set aside with a warning."""
    try:
        path(artifact)
    except DamagedArtifactError as error:
        _log.warning("%s", error)
        return False
    return True


def _faults(folder: Path) -> str:
    """Return what is wrong with an artifact's folder, or an empty text."""
    if not (folder / MANIFEST).is_file():
        return "it is not there" if not folder.exists() else "its manifest is missing"
    wanted = read_manifest(folder).get("files")
    if not isinstance(wanted, dict):
        return "its manifest cannot be read"
    try:
        found = {name: digest for name, digest in _sums(folder).items() if name != MANIFEST}
    except OSError as error:
        return f"{error.filename} cannot be read"
    changed = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
    return f"{', '.join(changed)} differ from the manifest" if changed else ""


def read_manifest(place: Path) -> dict[str, Any]:
    """Return what the manifest in an artifact's folder says, or a file that is one; nothing, where it is damaged in
    whatever way.
    """
    try:
        found = json.loads((place / MANIFEST if place.is_dir() else place).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _set_aside(folder: Path) -> None:
    """Move a damaged artifact out of the way, within its own subtree, so that forget text stays where
    `purge` finds it.
    """
    aside = folder.parent / ".damaged"
    aside.mkdir(mode=0o700, exist_ok=True)
    try:
        folder.rename(aside / f"{folder.name}-{time.time_ns()}")
    except FileNotFoundError:  # somebody else has just done it
        return
    _log.warning("the damaged artifact %s/%s was set aside", folder.parent.name, folder.name[:12])


def keyed(digest: str) -> str:
    """Return a digest that tells nothing to whoever does not have this store: a HMAC-SHA256 under a secret of its own,
    in hexadecimal. Whoever has a text could else find out whether it was forgotten.
    """
    file = home() / "secret"
    if not file.is_file():
        with lock("secret"):
            if not file.is_file():
                temporary = file.with_name(f".secret.{os.getpid()}.tmp")
                temporary.touch(mode=0o600)
                temporary.write_text(secrets.token_hex(32), encoding="utf-8")
                temporary.replace(file)
    return hmac.new(file.read_bytes(), digest.encode(), hashlib.sha256).hexdigest()


def find(kind: str, digest: str) -> Sensitivity | None:
    """Return the class under which an artifact with this digest is in the store, or None where it is not."""
    return next((found for found in ("ordinary", "forget") if (_room(kind, found) / digest).is_dir()), None)


def digests(kind: str, prefix: str) -> list[str]:
    """Return the digests of a kind's artifacts that begin so, whatever their class."""
    rooms = (_room(kind, sensitivity) for sensitivity in ("ordinary", "forget"))
    return sorted({folder.name for room in rooms for folder in room.glob("[!.]*") if folder.name.startswith(prefix)})


def note_place(digest: str, folder: str) -> None:
    """Remember where something outside the store was last seen; it is looked up by its digest."""
    room = home() / "places"
    room.mkdir(mode=0o700, exist_ok=True)
    temporary = room / f".{digest}-{os.getpid()}-{_moment()}.tmp"
    temporary.write_text(folder, encoding="utf-8")
    temporary.replace(room / digest)


def noted_place(digest: str) -> str | None:
    """Return where something outside the store was last seen, or None."""
    file = home() / "places" / digest
    return file.read_text(encoding="utf-8") if file.is_file() else None


@contextmanager
def lock(key: str, *, waits: bool = True) -> Iterator[None]:
    """Hold the lock of a key across processes; the kernel frees it when its holder dies.

    Raises:
        TimeoutError: If somebody else holds it, and `waits` is not set.
    """
    from filelock import FileLock

    folder = home() / "locks"
    folder.mkdir(mode=0o700, exist_ok=True)
    with FileLock(folder / f"{key}.lock", timeout=-1 if waits else 0, thread_local=False):
        yield


def growing(kind: str) -> Path:
    """Return the folder of a forget artifact that grows, such as a database; its retention time counts from its first
    entry on.
    """
    folder = _room(kind, "forget") / "growing"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with lock(f"growing-{kind}"):  # half a manifest would be taken for a damaged one
        if not (folder / MANIFEST).is_file():
            _write_manifest(folder, kind, {}, "forget")
    return folder


@contextmanager
def scratch() -> Iterator[Path]:
    """Lend a folder for files that go somewhere else. It lies among the forget artifacts: in the machine's temporary
    folder, what a killed process left there would be found by nobody.
    """
    room = home() / "forget" / "scratch"
    room.mkdir(mode=0o700, parents=True, exist_ok=True)
    _clear_abandoned(room)
    folder = temporary_in(room)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def workspace(key: str) -> Path:
    """Return the folder where the stage with this key keeps the state from which it can go on."""
    folder = home() / "forget" / "work" / key
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def drop_workspace(key: str) -> None:
    """Delete the state of a stage that has finished."""
    shutil.rmtree(home() / "forget" / "work" / key, ignore_errors=True)


def purge(*, expired_only: bool = False) -> Purged:
    """Wipe forget artifacts, unfinished work and damaged copies of them, and the records that point to them.

    Args:
        expired_only: Only what has outlived its retention time.
    """
    root, artifacts, size = home() / "forget", 0, 0
    for folder in sorted(root.glob("*/*")) if root.exists() else []:
        if expired_only and keep_until(folder) > time.time():
            continue
        size += sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        artifacts += 1
        shutil.rmtree(folder)
    _checked.clear()
    return Purged(artifacts=artifacts, bytes=size)


def keep_until(place: Path) -> float:
    """Return until when an artifact's folder, or a file that says it by itself, is kept: by the time that was set when
    it was made, or by that set now, whichever is shorter.
    """
    manifest, own = read_manifest(place), retention_s()
    made, until = (manifest.get(name) for name in ("created", "keep_until"))
    known = isinstance(made, (int, float)) and isinstance(until, (int, float)) and math.isfinite(made + until)
    return min(until, made + own) if known else place.stat().st_mtime + own


def retention_s() -> float:
    """Return for how many seconds forget artifacts are kept."""
    return float(os.environ.get("LETHE_RETENTION_DAYS", RETENTION_DAYS)) * 86_400
