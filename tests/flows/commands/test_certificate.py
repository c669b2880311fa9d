"""Claims: `lethe certificate make` signs what a run has shown, and `verify` says of either file whether it is as it was
signed by the key at hand: 0 where it is, 1 where it is not, 2 where there is nothing to look at. What fails is one
line; the first line says that it is evidence and no proof.
"""

import json
import shutil
import stat
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tasks.removals import states
from tasks.storage.evidence_files import PAGE, RECORD
from tests.stand_ins.command import called
from tests.stand_ins.databases import give_runs
from tests.stand_ins.judged import log_judged
from tests.stand_ins.removals import received

FILES = (RECORD, PAGE)
FIRST = "Evidence at its tier (gold), not a proof of exact removal."


def certificate(home: Path, *words: str | Path) -> CompletedProcess[str]:
    return called("certificate", *words, home=home)


def line_of(ended: CompletedProcess[str], status: int) -> str:
    """Return the one line in which a command has failed."""
    assert (ended.returncode, ended.stdout) == (status, ""), ended
    assert ended.stderr.startswith("lethe: ")
    assert ended.stderr.count("\n") == 1
    return ended.stderr


@pytest.fixture
def run(lethe_home: Path, tmp_path: Path) -> str:
    give_runs(lethe_home)
    return log_judged(tmp_path / "logged")


@pytest.fixture
def out(lethe_home: Path, tmp_path: Path, run: str) -> Path:
    """Where a record was copied to."""
    ended = certificate(lethe_home, "make", run, "--out", tmp_path / "out", "--json", tmp_path / "made.json")
    assert (ended.returncode, ended.stderr) == (0, "")
    (tmp_path / "said").write_text(ended.stdout)
    return tmp_path / "out"


def test_a_record_is_made_copied_and_shown(lethe_home: Path, tmp_path: Path, run: str, out: Path) -> None:
    said, made = (tmp_path / "said").read_text(), json.loads((tmp_path / "made.json").read_text())
    assert said.splitlines()[0] == FIRST == made["about"]
    assert {file.name for file in out.iterdir()} == set(FILES)
    key = str(lethe_home / "keys" / "evidence.pub")
    assert (made["schema"], made["run"], made["passed"]) == ("lethe.certificate.v1", run, True)
    assert (made["record"], made["page"], made["public_key"]) == (str(out / RECORD), str(out / PAGE), key)
    for words in ("Verdict     passed", run, made["record"], made["page"], key, made["key"]):
        assert words in said
    assert stat.S_IMODE((lethe_home / "keys" / "evidence.pem").stat().st_mode) == 0o600


def test_a_removal_request_names_the_run_that_judged_it(lethe_home: Path, tmp_path: Path, run: str) -> None:
    removal = received(tmp_path, "book")
    assert "no run has judged it" in line_of(certificate(lethe_home, "make", removal.id), 2)
    states.change(removal.id, "running", run="f" * 32)
    states.change(removal.id, "verified", run=run)
    ended = certificate(lethe_home, "make", "r-1", "--json", tmp_path / "made.json")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads((tmp_path / "made.json").read_text())["run"] == run
    assert "there is none" in line_of(certificate(lethe_home, "make", "R-0002"), 2)


def test_without_a_folder_it_stays_in_the_store(lethe_home: Path, run: str) -> None:
    said = certificate(lethe_home, "make", run[:8]).stdout
    (folder,) = (lethe_home / "certificates").iterdir()
    assert str(folder / RECORD) in said


@pytest.mark.parametrize("name", FILES)
def test_what_is_as_it_was_signed_is_verified(lethe_home: Path, tmp_path: Path, run: str, out: Path, name: str) -> None:
    ended = certificate(lethe_home, "verify", out / name, "--json", tmp_path / "found.json")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[0] == FIRST
    assert f"Verified    {out / name} is as it was signed with this key" in ended.stdout
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["schema"], found["verified"], found["run"]) == ("lethe.verification.v1", True, run)
    assert found["record"] == json.loads((out / RECORD).read_text())["record"]


@pytest.mark.parametrize("name", FILES)
def test_somebody_else_verifies_it_with_the_public_key_alone(
    lethe_home: Path, tmp_path: Path, out: Path, name: str
) -> None:
    theirs = tmp_path / "theirs"
    key = shutil.copy(lethe_home / "keys" / "evidence.pub", tmp_path / "key.pub")
    assert "this store has no key" in line_of(certificate(theirs, "verify", out / name), 2)
    ended = certificate(theirs, "verify", out / name, "--key", key)
    assert (ended.returncode, ended.stdout.splitlines()[0]) == (0, FIRST)
    assert not (theirs / "keys").exists()


@pytest.mark.parametrize("name", FILES)
def test_a_record_that_was_changed_fails(lethe_home: Path, tmp_path: Path, out: Path, name: str) -> None:
    whole = (out / name).read_text()
    for old, new in (('"passed": true', '"passed": false'), ("Evidence at", "A proof at"), ("\n", " ")):
        assert old in whole
        (out / name).write_text(whole.replace(old, new, 1))
        line = line_of(certificate(lethe_home, "verify", out / name, "--json", tmp_path / "found.json"), 1)
        assert line.startswith(f"lethe: {out / name} is not verified: ")
    assert not (tmp_path / "found.json").exists()


@pytest.mark.parametrize("name", FILES)
def test_a_record_that_was_signed_anew_with_another_key_fails(
    lethe_home: Path, tmp_path: Path, run: str, out: Path, name: str
) -> None:
    kept = shutil.copytree(lethe_home / "keys", tmp_path / "kept")
    shutil.rmtree(lethe_home / "keys")
    assert certificate(lethe_home, "make", run, "--out", tmp_path / "forged").returncode == 0
    assert certificate(lethe_home, "verify", tmp_path / "forged" / name).returncode == 0
    for words in ((), ("--key", lethe_home / "keys" / "evidence.pub")):
        line_of(certificate(lethe_home, "verify", out / name, *words), 1)
    line = line_of(certificate(lethe_home, "verify", tmp_path / "forged" / name, "--key", kept / "evidence.pub"), 1)
    assert "it says that it was signed with key" in line
    assert certificate(lethe_home, "verify", out / name, "--key", kept / "evidence.pub").returncode == 0


def test_what_is_not_there_or_no_key_is_bad_input(lethe_home: Path, tmp_path: Path, out: Path) -> None:
    record = out / RECORD
    assert "No such file" in line_of(certificate(lethe_home, "verify", tmp_path / "none"), 2)
    assert "Is a directory" in line_of(certificate(lethe_home, "verify", out), 2)
    assert "No such file" in line_of(certificate(lethe_home, "verify", record, "--key", tmp_path / "none"), 2)
    assert "holds no public key" in line_of(certificate(lethe_home, "verify", record, "--key", record), 2)
    assert "no such file, folder or run" in line_of(certificate(lethe_home, "make", "none"), 2)
    assert "is no folder" in line_of(certificate(lethe_home, "make", "none", "--out", record), 2)
    (tmp_path / "other").write_text("Velmora lies by the river.")
    assert "it is no evidence record" in line_of(certificate(lethe_home, "verify", tmp_path / "other"), 1)
