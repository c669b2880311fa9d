"""Claims: a key's lock is told held, free or never taken; an artifact was used when it was read last, all else when
anything in it was written; a size counts every file; what is discarded is gone, and nothing of it is left beside.
"""

import os
import shutil
from pathlib import Path
from stat import S_ISREG

from tasks import store
from tasks.execution.upkeep import _looked_at, discard, held, last_used, size


def test_a_lock_is_held_free_or_was_never_taken(lethe_home: Path) -> None:
    assert held("a") is None
    with store.lock("a"):
        assert held("a") is True
    assert held("a") is False


def test_an_artifact_was_used_by_its_manifest_and_all_else_by_its_newest_file(tmp_path: Path) -> None:
    artifact, work = tmp_path / "artifact", tmp_path / "work"
    for folder in (artifact, work):
        (folder / "in").mkdir(parents=True)
        for file, when in (("old", 1000), ("in/new", 3000), (store.MANIFEST, 2000)):
            (folder / file).write_text("12345")
            os.utime(folder / file, (when, when))
    (work / store.MANIFEST).unlink()
    for place in (work, work / "in"):
        os.utime(place, (1000, 1000))
    assert (last_used(artifact), last_used(work), last_used(work / "old")) == (2000, 3000, 1000)
    assert (size(artifact), size(work), size(work / "old"), size(tmp_path / "none")) == (15, 10, 5, 0)


def test_what_goes_while_it_is_looked_at_counts_no_more(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(bytes(5))
    assert size(tmp_path) == 10
    seen = _looked_at(tmp_path)
    files = (found for found in seen if S_ISREG(found.st_mode))
    assert next(files).st_size == 5
    for name in ("one", "two"):
        shutil.rmtree(tmp_path / name)
    assert list(seen) == []
    assert (size(tmp_path), size(tmp_path / "one")) == (0, 0)


def test_what_is_discarded_leaves_nothing_beside(tmp_path: Path) -> None:
    (tmp_path / "room" / "folder" / "in").mkdir(parents=True)
    (tmp_path / "room" / "file").write_text("x")
    for name in ("folder", "file", "file", "never"):
        discard(tmp_path / "room" / name)
    assert list((tmp_path / "room").iterdir()) == []
