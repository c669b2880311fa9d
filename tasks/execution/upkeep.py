"""The store from outside: whether somebody holds a key's lock, when an artifact was used last, how much disk it takes,
and its end.
"""

import shutil
from contextlib import suppress
from pathlib import Path

from tasks import store


def held(key: str) -> bool | None:
    """Return whether somebody holds the lock of a key; None where nobody ever did."""
    if not (store.home() / "locks" / f"{key}.lock").is_file():
        return None
    try:
        with store.lock(key, waits=False):
            return False
    except TimeoutError:
        return True


def last_used(place: Path) -> float:
    """Return when an artifact was made or used last, or when anything in another folder, or a file, was written,
    seconds of the epoch.
    """
    if (place / store.MANIFEST).is_file():
        return (place / store.MANIFEST).stat().st_mtime
    return max((file.lstat().st_mtime for file in (place, *place.rglob("*")) if file.exists()), default=0.0)


def size(place: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return sum(file.lstat().st_size for file in (place, *place.rglob("*")) if file.is_file())


def discard(place: Path) -> None:
    """Delete a file, or a folder, which is moved out of the way first: nobody finds half an artifact."""
    if place.is_file():
        place.unlink(missing_ok=True)
        return
    aside = store.temporary_in(place.parent)
    with suppress(FileNotFoundError):  # somebody else has just done it
        place.rename(aside)
    shutil.rmtree(aside)
