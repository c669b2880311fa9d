"""The store: content-addressed, atomic, checked on read; forget artifacts in a subtree of their own that
`purge` wipes.
"""

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks import store
from tasks.artifacts import Artifact, Sensitivity
from tests.stand_ins.waiting import end_of

HOLD = """
import sys, time
from tasks import store
with store.lock("one"):
    print("held", flush=True)
    time.sleep(600)
"""
TAKE = """
from tasks import store
with store.lock("one"):
    print("taken")
"""
PUT = """
import sys
from tasks import store
print(store.put("notes", lambda folder: [(folder / f"{n}.bin").write_bytes(bytes([n]) * 500_000) for n in range(8)]))
"""

STUCK = """
import time
from tasks import store

def write(folder):
    (folder / "text.txt").write_text("what is to be forgotten")
    print("written", flush=True)
    time.sleep(600)

store.put("labels", write, sensitivity="forget")
"""


def put(text: str = "hello", *, kind: str = "notes", sensitivity: Sensitivity = "ordinary") -> Artifact:
    digest = store.put(kind, lambda folder: (folder / "note.txt").write_text(text) and None, sensitivity=sensitivity)
    return Artifact(kind=kind, digest=digest, sensitivity=sensitivity)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def python(code: str, home: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "LETHE_HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        cwd=store.__file__.rsplit("/", 2)[0],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_what_was_put_is_read_back(lethe_home: Path) -> None:
    assert (store.path(put()) / "note.txt").read_text() == "hello"


def test_the_home_is_readable_by_its_owner_alone(lethe_home: Path) -> None:
    assert store.home() == lethe_home
    assert lethe_home.stat().st_mode & 0o777 == 0o700


def test_the_same_content_is_stored_once_and_other_content_beside_it(lethe_home: Path) -> None:
    assert put("one").digest == put("one").digest != put("two").digest
    assert len(list((lethe_home / "notes").iterdir())) == 2


def test_a_kind_is_part_of_the_identity(lethe_home: Path) -> None:
    assert put(kind="notes").digest != put(kind="labels").digest


def test_a_writer_that_raises_leaves_nothing(lethe_home: Path) -> None:
    def writer(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        store.put("notes", writer)
    assert list((lethe_home / "notes").iterdir()) == []


MANIFESTS = (
    "{",
    "[]",
    '"x"',
    "7",
    "{}",
    '{"files": []}',
    '{"files": "x"}',
    '{"files": {"note.txt": {}}}',
    "[" * 100_000,
)
"""Manifests that are cut short, or hold something else."""


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda folder: (folder / "note.txt").write_text("hellp"), "note.txt"),
        (lambda folder: (folder / "note.txt").unlink(), "note.txt"),
        (lambda folder: (folder / "extra.txt").write_text("x"), "extra.txt"),
        (lambda folder: (folder / store.MANIFEST).unlink(), "manifest"),
        *((lambda folder, text=text: (folder / store.MANIFEST).write_text(text), "manifest") for text in MANIFESTS),
        (lambda folder: (folder / store.MANIFEST).write_bytes(b"\xff\xfe\x00"), "manifest"),
    ],
    ids=["byte changed", "file deleted", "file added", "manifest deleted", *MANIFESTS, "no text"],
)
def test_a_damaged_artifact_is_named_set_aside_and_can_be_put_again(
    lethe_home: Path, damage: object, named: str
) -> None:
    artifact = put()
    damage(lethe_home / "notes" / artifact.digest)
    with pytest.raises(store.DamagedArtifactError, match=named):
        store.path(artifact)
    assert not (lethe_home / "notes" / artifact.digest).exists()
    assert len(list((lethe_home / "notes" / ".damaged").iterdir())) == 1
    assert put().digest == artifact.digest
    assert (store.path(artifact) / "note.txt").read_text() == "hello"


def test_put_replaces_a_damaged_artifact_of_the_same_content(lethe_home: Path) -> None:
    artifact = put()
    (lethe_home / "notes" / artifact.digest / "note.txt").write_text("hellp")
    put()
    assert (store.path(artifact) / "note.txt").read_text() == "hello"


def test_intact_tells_whether_an_artifact_can_be_read(lethe_home: Path) -> None:
    artifact = put()
    assert not store.intact(Artifact(kind="notes", digest="0" * 64, sensitivity="ordinary"))
    (lethe_home / "notes" / artifact.digest / "note.txt").write_text("hellp")
    assert not store.intact(artifact)
    put()
    assert store.intact(artifact)


def test_forget_artifacts_lie_in_a_subtree_that_only_the_owner_reads(lethe_home: Path) -> None:
    artifact = put(sensitivity="forget")
    folder = store.path(artifact)
    assert folder.is_relative_to(lethe_home / "forget")
    assert {folder.stat().st_mode & 0o777, folder.parent.stat().st_mode & 0o777, lethe_home.stat().st_mode & 0o777} == {
        0o700
    }


def test_purge_wipes_the_forget_subtree_and_leaves_the_rest(lethe_home: Path) -> None:
    kept = [put(sensitivity="ordinary"), put("card", kind="cards", sensitivity="public")]
    put("secret", kind="corpora", sensitivity="forget")
    damaged = put("secret, damaged", kind="labels", sensitivity="forget")
    (lethe_home / "forget" / "labels" / damaged.digest / "note.txt").write_text("secret, changed")
    assert not store.intact(damaged)
    (store.workspace("finetune-1") / "state.safetensors").write_text("secret state")
    found = store.purge()
    assert found.artifacts == 3
    assert found.bytes > 0
    assert files(lethe_home / "forget") == []
    assert all(store.intact(artifact) for artifact in kept)
    assert not [path for path in files(lethe_home) if "secret" in path.read_text(errors="replace")]


def test_what_grows_is_kept_from_its_first_entry_on(lethe_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LETHE_RETENTION_DAYS", "0")
    (store.growing("answers") / "answers.db").write_text("secret")
    monkeypatch.delenv("LETHE_RETENTION_DAYS")
    assert store.growing("answers").is_relative_to(lethe_home / "forget")  # a later entry does not prolong it
    assert store.purge(expired_only=True).artifacts == 1
    assert files(lethe_home / "forget") == []
    (store.growing("answers") / "answers.db").write_text("secret")
    assert store.purge(expired_only=True).artifacts == 0


def test_what_is_kept_is_kept_for_the_shorter_of_the_times_set_then_and_now(
    lethe_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = put("fresh", sensitivity="forget")
    (store.workspace("finetune-1") / "state.safetensors").write_text("state")
    assert store.purge(expired_only=True).artifacts == 0
    monkeypatch.setenv("LETHE_RETENTION_DAYS", "0")
    expired = put("expired", sensitivity="forget")
    monkeypatch.delenv("LETHE_RETENTION_DAYS")
    assert store.purge(expired_only=True).artifacts == 1
    assert store.intact(fresh)
    assert not store.intact(expired)
    monkeypatch.setenv("LETHE_RETENTION_DAYS", "0")
    assert store.purge(expired_only=True).artifacts == 2


def test_a_lock_is_freed_when_its_holder_is_killed(lethe_home: Path) -> None:
    with python(HOLD, lethe_home) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            with python(TAKE, lethe_home) as waiting:
                with pytest.raises(subprocess.TimeoutExpired):
                    waiting.wait(1)
                os.kill(holder.pid, signal.SIGKILL)
                assert end_of(waiting).stdout == "taken\n"
        finally:
            holder.kill()


def test_what_a_killed_writer_left_is_gone_with_the_next_artifact_of_its_kind(lethe_home: Path) -> None:
    room = lethe_home / "forget" / "labels"
    with subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "written\n"
            put("while it writes", kind="labels", sensitivity="forget")
            assert len(list(room.glob(".*.tmp/text.txt"))) == 1, "a living writer is left alone"
        finally:
            process.kill()
    put("after it was killed", kind="labels", sensitivity="forget")
    assert list(room.glob(".*.tmp")) == []
    assert len(list(room.iterdir())) == 2


def test_two_processes_that_put_the_same_content_at_once_both_succeed(lethe_home: Path) -> None:
    writers = [python(PUT, lethe_home) for _ in range(2)]
    digests = [end_of(writer).stdout.strip() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert digests[0] == digests[1]
    assert store.intact(Artifact(kind="notes", digest=digests[0], sensitivity="ordinary"))
    assert [path.name for path in (lethe_home / "notes").iterdir()] == [digests[0]]


def test_many_threads_that_put_the_same_content_at_once_all_succeed(lethe_home: Path) -> None:
    digests: list[str] = []
    threads = [threading.Thread(target=lambda: digests.append(put("same").digest)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(digests) == 8
    assert len(set(digests)) == 1


def together(what: Callable[[], Any]) -> list[BaseException]:
    """Call something in eight threads at once and return what they raised."""
    errors: list[BaseException] = []
    gate = threading.Barrier(8)

    def call() -> None:
        gate.wait()
        try:
            what()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_threads_that_put_at_the_same_nanosecond_all_succeed(lethe_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.time, "monotonic_ns", lambda: 7)
    assert together(lambda: put("same")) == []
    assert together(lambda: store.note_place("a" * 64, "/models")) == []


def test_threads_that_find_the_same_damage_all_say_so_and_it_is_set_aside_once(
    lethe_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note, gate, set_aside = put(), threading.Barrier(8), store._set_aside
    (store.path(note) / "note.txt").write_text("hellp")
    store._checked.clear()
    monkeypatch.setattr(store, "_set_aside", lambda folder: [gate.wait(30), set_aside(folder)])
    errors = together(lambda: store.path(note))
    assert [type(error) for error in errors] == [store.DamagedArtifactError] * 8
    assert len(list((lethe_home / "notes" / ".damaged").iterdir())) == 1


def test_what_grows_has_a_whole_manifest_for_every_thread(lethe_home: Path) -> None:
    kinds = [f"answers{number}" for number in range(20)]
    found: list[Any] = []
    assert together(lambda: found.extend(store.read_manifest(store.growing(kind)).get("kind") for kind in kinds)) == []
    assert sorted(found) == sorted(kinds * 8)


def test_artifacts_are_found_by_the_beginning_of_their_digest(lethe_home: Path) -> None:
    written = {
        sensitivity: store.put(
            "notes", lambda folder, text=sensitivity: (folder / "n").write_text(text) and None, sensitivity=sensitivity
        )
        for sensitivity in ("ordinary", "forget")
    }
    (lethe_home / "notes" / ".aside").mkdir()
    assert store.digests("notes", written["forget"][:10]) == [written["forget"]]
    assert store.digests("notes", written["ordinary"]) == [written["ordinary"]]
    assert store.digests("notes", "") == sorted(written.values())
    assert store.digests("nothing", "") == []


def test_a_keyed_digest_is_the_stores_own(lethe_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyed = store.keyed("a" * 64)
    assert keyed == store.keyed("a" * 64) != store.keyed("b" * 64)
    assert (lethe_home / "secret").stat().st_mode & 0o777 == 0o600
    assert keyed not in (hashlib.sha256(b"a" * 64).hexdigest(), "a" * 64)
    monkeypatch.setenv("LETHE_HOME", str(tmp_path / "another"))
    assert store.keyed("a" * 64) != keyed


def test_a_home_that_others_can_read_is_taken_from_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LETHE_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(0o755)
    assert store.home().stat().st_mode & 0o777 == 0o700


def test_where_it_cannot_be_taken_from_them_that_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LETHE_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(0o755)

    def refuse(*arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    store.home()
    store.home()
    assert caplog.text.count("can be read by others") == 1


SCRATCH = """
import time
from tasks import store
with store.scratch() as folder:
    (folder / "table.csv").write_text("what is to be forgotten")
    print("written", flush=True)
    time.sleep(600)
"""


def test_what_is_on_its_way_elsewhere_lies_where_purge_finds_it(lethe_home: Path) -> None:
    with store.scratch() as folder:
        (folder / "table.csv").write_text("what is to be forgotten")
        assert folder.is_relative_to(lethe_home / "forget")
        assert folder.stat().st_mode & 0o777 == 0o700
    assert files(lethe_home) == []
    with python(SCRATCH, lethe_home) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "written\n"
        finally:
            process.kill()
    assert [path.name for path in files(lethe_home)] == ["table.csv"]
    assert store.purge().artifacts == 1
    assert files(lethe_home) == []


def test_what_a_killed_process_had_on_its_way_is_gone_with_the_next(lethe_home: Path) -> None:
    with python(SCRATCH, lethe_home) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "written\n"
        finally:
            process.kill()
    with store.scratch() as folder:
        assert list(folder.parent.iterdir()) == [folder]


def test_a_file_that_others_can_read_is_taken_from_them(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.touch()
    file.chmod(0o644)
    store.keep_private(file)
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_lock_that_is_not_waited_for_is_refused_while_somebody_has_it(lethe_home: Path) -> None:
    with store.lock("one"):
        with pytest.raises(TimeoutError), store.lock("one", waits=False):
            pass
        with store.lock("another", waits=False):
            pass
    with store.lock("one", waits=False):
        pass
