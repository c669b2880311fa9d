"""The key pair that signs evidence records: Ed25519 (RFC 8032), one a store, made when it is first used.

LETHE_HOME/keys/evidence.pem    the private key (PKCS #8), 0600
LETHE_HOME/keys/evidence.pub    the public key, to be handed to whoever verifies
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store
from tasks.artifacts import BadInputError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PRIVATE, PUBLIC = "evidence.pem", "evidence.pub"
LARGEST = 1 << 16
"""Bytes of a key's file that are read, at most."""


def signing_key() -> "Ed25519PrivateKey":
    """Return the store's private key; the first who asks makes it, and whoever asks meanwhile waits for that one.

    Raises:
        BadInputError: If its file holds something else.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private, public = _room() / PRIVATE, _room() / PUBLIC
    private.parent.mkdir(mode=0o700, exist_ok=True)
    with store.lock("evidence-key"):
        if not private.is_file():
            _write(private, _private_pem(Ed25519PrivateKey.generate()), 0o600)
        store.keep_private(private)
        key = _private_key(private)
        shown = _public_pem(key.public_key())
        if not public.is_file() or public.read_bytes() != shown:
            _write(public, shown, 0o644)
    return key


def own_public_key() -> "Ed25519PublicKey":
    """Return the public key of this store.

    Raises:
        BadInputError: If it has not signed anything yet, or the file holds something else.
    """
    file = public_key_file()
    if not file.is_file():
        raise BadInputError("this store has no key, since it has signed nothing yet; wanted --key with a public key")
    return read_public_key(file)


def public_key_file() -> Path:
    """Return where the public key of this store is, once there is one."""
    return _room() / PUBLIC


def read_public_key(file: Path) -> "Ed25519PublicKey":
    """Read a public key in PEM.

    Raises:
        BadInputError: If the file holds something else.
        OSError: If it cannot be read.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = _loaded(file, load_pem_public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise BadInputError(f"{file} holds no public key; wanted one of Ed25519 in PEM, as LETHE_HOME/keys/{PUBLIC} is")
    return key


def fingerprint(key: "Ed25519PublicKey") -> str:
    """Return what a public key is called: the SHA-256 of its 32 bytes, in hexadecimal."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def is_signed(data: bytes, signature: bytes, key: "Ed25519PublicKey") -> bool:
    """Return whether a signature is that of these bytes under this key."""
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def _room() -> Path:
    return store.home() / "keys"


def _private_key(file: Path) -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = _loaded(file, lambda data: load_pem_private_key(data, password=None))
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInputError(
            f"{file} holds no private key; wanted one of Ed25519 in PEM without a password: put it back, or delete the"
            " file for a new one, by which no earlier record is verified"
        )
    return key


def _loaded(file: Path, load: Callable[[bytes], Any]) -> Any:
    """Return the key in a file, or None where it is none; what the file holds is not told."""
    from cryptography.exceptions import UnsupportedAlgorithm

    with file.open("rb") as stream:
        data = stream.read(LARGEST)
    try:
        return load(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # no PEM; with a password; a kind that nobody has
        return None


def _write(file: Path, data: bytes, mode: int) -> None:
    """Write a file that is whole or not there, and that nobody else could read meanwhile; under the lock."""
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.unlink(missing_ok=True)  # what a killed one left
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(file)


def _private_pem(key: "Ed25519PrivateKey") -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public_pem(key: "Ed25519PublicKey") -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
