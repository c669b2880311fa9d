"""Claims: the signing key is made once, whoever asks first, is whole for whoever reads it, and is its owner's alone;
what is no key of its kind is refused in one line that quotes nothing of it; signatures hold for their bytes and their
key only.
"""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from tasks import store
from tasks.artifacts import BadInputError
from tasks.storage.signing_keys import (
    PRIVATE,
    PUBLIC,
    fingerprint,
    is_signed,
    own_public_key,
    public_key_file,
    read_public_key,
    signing_key,
)
from tests.stand_ins.waiting import end_of

ASK = """
import sys
from tasks.storage.signing_keys import fingerprint, own_public_key, signing_key
print("ready", flush=True)
sys.stdin.readline()
print(fingerprint(signing_key().public_key()), fingerprint(own_public_key()))
"""
PEM, RAW = serialization.Encoding.PEM, serialization.NoEncryption()
PKCS8 = serialization.PrivateFormat.PKCS8


def rights(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def keys(home: Path) -> set[str]:
    return {file.name for file in (home / "keys").iterdir()}


def test_the_key_is_made_at_first_use_and_is_its_owners_alone(lethe_home: Path) -> None:
    before = os.umask(0)
    try:
        key = signing_key()
    finally:
        os.umask(before)
    assert keys(lethe_home) == {PRIVATE, PUBLIC}
    assert (rights(lethe_home / "keys" / PRIVATE), rights(lethe_home / "keys")) == (0o600, 0o700)
    held = serialization.load_pem_private_key((lethe_home / "keys" / PRIVATE).read_bytes(), password=None)
    assert isinstance(held, Ed25519PrivateKey)
    assert held.private_bytes_raw() == key.private_bytes_raw() == signing_key().private_bytes_raw()
    assert own_public_key().public_bytes_raw() == key.public_key().public_bytes_raw()
    assert len(fingerprint(key.public_key())) == 64


def test_a_key_that_others_can_read_is_taken_from_them(lethe_home: Path) -> None:
    signing_key()
    (lethe_home / "keys" / PRIVATE).chmod(0o644)
    signing_key()
    assert rights(lethe_home / "keys" / PRIVATE) == 0o600


def test_the_key_outlives_a_purge(lethe_home: Path) -> None:
    key = signing_key()
    store.purge()
    assert signing_key().private_bytes_raw() == key.private_bytes_raw()


def test_of_processes_that_make_the_key_at_once_all_have_the_same(lethe_home: Path) -> None:
    environment = os.environ | {"LETHE_HOME": str(lethe_home)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [
        subprocess.Popen([sys.executable, "-c", ASK], env=environment, text=True, **pipes)  # type: ignore[call-overload]
        for _ in range(4)
    ]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 4
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.close()
    ended = [end_of(process) for process in processes]
    assert [one.returncode for one in ended] == [0] * 4, [one.stderr for one in ended]
    wanted = fingerprint(own_public_key())
    assert [one.stdout.split() for one in ended] == [[wanted, wanted]] * 4
    assert keys(lethe_home) == {PRIVATE, PUBLIC}


def test_nobody_sees_half_a_key_and_what_a_killed_writer_left_is_no_key(
    lethe_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lethe_home / "keys").mkdir(parents=True)
    (lethe_home / "keys" / f".{PRIVATE}.tmp").write_bytes(b"-----BEGIN PRIV")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError("the disk is full")))
        with pytest.raises(OSError, match="the disk is full"):
            signing_key()
    assert not {PRIVATE, PUBLIC} & keys(lethe_home)
    signing_key()
    assert keys(lethe_home) == {PRIVATE, PUBLIC}


def test_a_lost_or_changed_public_key_is_written_anew(lethe_home: Path) -> None:
    key = signing_key()
    for spoil in (lambda: public_key_file().unlink(), lambda: public_key_file().write_text("other")):
        spoil()
        signing_key()
        assert own_public_key().public_bytes_raw() == key.public_key().public_bytes_raw()


def test_a_store_that_has_signed_nothing_has_no_key_and_makes_none_to_verify(lethe_home: Path) -> None:
    with pytest.raises(BadInputError, match="this store has no key, since it has signed nothing yet; wanted --key"):
        own_public_key()
    assert not (lethe_home / "keys").exists()


def other_keys() -> dict[str, bytes]:
    own = Ed25519PrivateKey.generate()
    rsa = generate_private_key(65537, 1024)  # noqa: S505 - nothing is signed with it
    locked = serialization.BestAvailableEncryption(b"secret")
    return {
        "empty": b"",
        "text": b"Velmora\n",
        "binary": bytes(range(256)),
        "cut": own.private_bytes(PEM, PKCS8, RAW)[:60],
        "with a password": own.private_bytes(PEM, PKCS8, locked),
        "of another kind": rsa.private_bytes(PEM, PKCS8, RAW),
    }


@pytest.mark.parametrize("name", other_keys())
def test_what_is_no_private_key_is_refused_and_kept(lethe_home: Path, name: str) -> None:
    file = lethe_home / "keys" / PRIVATE
    file.parent.mkdir(parents=True)
    file.write_bytes(held := other_keys()[name])
    with pytest.raises(BadInputError, match=f"{PRIVATE} holds no private key; wanted one of Ed25519") as caught:
        signing_key()
    assert "Velmora" not in str(caught.value)
    assert file.read_bytes() == held


@pytest.mark.parametrize("name", [*other_keys(), "private"])
def test_what_is_no_public_key_is_refused(tmp_path: Path, name: str) -> None:
    private = Ed25519PrivateKey.generate().private_bytes(PEM, PKCS8, RAW)
    (tmp_path / "key").write_bytes({**other_keys(), "private": private}[name])
    with pytest.raises(BadInputError, match="key holds no public key; wanted one of Ed25519 in PEM"):
        read_public_key(tmp_path / "key")


def test_a_signature_holds_for_its_bytes_and_its_key_alone() -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    signature = key.sign(b"so it is")
    assert is_signed(b"so it is", signature, key.public_key())
    assert not is_signed(b"so it was", signature, key.public_key())
    assert not is_signed(b"so it is", signature, other.public_key())
    assert not is_signed(b"so it is", b"", key.public_key())


def test_a_known_key_signs_as_rfc_8032_has_it() -> None:
    """Section 7.1, test 1: an empty message."""
    public = Ed25519PublicKey.from_public_bytes(
        bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    )
    signature = bytes.fromhex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    assert is_signed(b"", signature, public)
