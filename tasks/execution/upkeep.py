"""The store from outside: whether somebody holds a key's lock, when an artifact was used last, how much disk it takes,
and its end.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from stat import S_ISREG

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
    return max((found.st_mtime for found in _looked_at(place)), default=0.0)


def size(place: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return sum(found.st_size for found in _looked_at(place) if S_ISREG(found.st_mode))


def _looked_at(place: Path) -> Iterator[os.stat_result]:
    """Yield what is known of a file, or of a folder and all below it, but for what goes meanwhile: runs go on."""
    below = (Path(room) / name for room, *names in os.walk(place) for name in chain.from_iterable(names))
    for path in chain([place], below):
        with suppress(FileNotFoundError):
            yield path.lstat()


def discard(place: Path) -> None:
    """Delete a file, or a folder, which is moved out of the way first: nobody finds half an artifact."""
    if place.is_file():
        place.unlink(missing_ok=True)
        return
    aside = store.temporary_in(place.parent)
    with suppress(FileNotFoundError):  # somebody else has just done it
        place.rename(aside)
    shutil.rmtree(aside)
