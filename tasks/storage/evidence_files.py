"""Evidence records as files: a record in JSON with its signature, and a page for people that holds the same.

What is signed (Ed25519) is the record's canonical bytes: JSON in ASCII with sorted names and no spaces. The JSON file
is written in one way only, so that a byte which was changed shows even where it changes no value. The page holds
that file in a script element; the record names the SHA-256 of the page with that element empty. So every byte of
either file is covered by the signature, and each is verified alone.
"""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.algorithms.text.json_values import parse_json
from tasks.storage.signing_keys import fingerprint, is_signed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SCHEMA = "lethe.evidence.v1"
RECORD, PAGE = "evidence.json", "evidence.html"
OPEN, CLOSE = b'<script type="application/json" id="record">', b"</script>"
"""What stands around the record in a page."""
LARGEST = 1 << 26
"""Bytes of a record, at most."""


class NotVerifiedError(RuntimeError):
    """A file is not what was signed with the key that it is verified by."""


def write_evidence(folder: Path, record: dict[str, Any], page: str, key: "Ed25519PrivateKey") -> None:
    """Sign a record and write both files.

    Args:
        folder: Where they are written to.
        record: Values of JSON; without `schema`, `page` and `key`, which are added here.
        page: What people read, with one empty element for the record.
        key: Signs.
    """
    bare = page.encode()
    if bare.count(OPEN) != 1 or bare.count(OPEN + CLOSE) != 1:
        raise ValueError("the page has no empty element for the record, or several; wanted one")
    cover = {"page": hashlib.sha256(bare).hexdigest(), "key": fingerprint(key.public_key())}
    whole = {**record, "schema": SCHEMA, **cover}
    signed = _written({"record": whole, "signature": key.sign(canonical(whole)).hex()})
    (folder / RECORD).write_bytes(signed)
    (folder / PAGE).write_bytes(bare.replace(OPEN, OPEN + _inlined(signed)))


def read_evidence(file: Path, key: "Ed25519PublicKey") -> dict[str, Any]:
    """Return the record in a JSON file or a page, if it is as it was signed.

    Args:
        file: Either.
        key: Public key of whoever is to have signed it. That comes from elsewhere: a file that named its own would
            always be in order.

    Raises:
        NotVerifiedError: If it was signed with another key, was changed, or is none.
        OSError: If it cannot be read.
    """
    with file.open("rb") as stream:
        data = stream.read(LARGEST + 1)
    try:
        return _opened(data, key)
    except NotVerifiedError as error:
        raise NotVerifiedError(f"{file} is not verified: {error}") from None


def canonical(record: dict[str, Any]) -> bytes:
    """Return the bytes of a record that are signed."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _written(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, indent=1, allow_nan=False).encode("ascii") + b"\n"


def _inlined(written: bytes) -> bytes:
    """Return JSON that cannot end the element that it stands in."""
    return written.replace(b"<", b"\\u003c")


def _opened(data: bytes, key: "Ed25519PublicKey") -> dict[str, Any]:
    if len(data) > LARGEST:
        raise NotVerifiedError("it is no evidence record, or no longer one")
    head, found, rest = data.partition(OPEN)
    inner, closed, tail = rest.partition(CLOSE)
    value = _parsed(inner if found else data, inlined=bool(found))
    record, signature = value["record"], value["signature"]
    if not is_signed(canonical(record), bytes.fromhex(signature), key):
        raise NotVerifiedError(_why_not(record, key))
    if found and hashlib.sha256(head + found + closed + tail).hexdigest() != record["page"]:
        raise NotVerifiedError("the page was changed after it was signed")
    return record


def _parsed(written: bytes, *, inlined: bool) -> dict[str, Any]:
    """Return what stands in a file, if it is of a record's form and written in the one way in which it can be."""
    try:
        value = parse_json(written.decode("ascii"))
        again = _written(value)
    except ValueError:
        raise NotVerifiedError("it is no evidence record, or no longer one") from None
    if not _is_envelope(value):
        raise NotVerifiedError("it is no evidence record, or no longer one")
    if (_inlined(again) if inlined else again) != written:
        raise NotVerifiedError("it was changed after it was signed")
    return value


def _is_envelope(value: Any) -> bool:
    """Return whether a value is a record with a signature; that has one way to be written too."""
    if not isinstance(value, dict) or value.keys() != {"record", "signature"}:
        return False
    record, signature = value["record"], value["signature"]
    if not isinstance(record, dict) or record.get("schema") != SCHEMA or not isinstance(record.get("page"), str):
        return False
    try:
        return bytes.fromhex(signature).hex() == signature
    except (TypeError, ValueError):
        return False


def _why_not(record: dict[str, Any], key: "Ed25519PublicKey") -> str:
    mine, theirs = fingerprint(key)[:16], str(record.get("key"))[:16]
    if mine != theirs:
        return f"it says that it was signed with key {theirs}, and not with {mine}, by which it is verified"
    return f"it was changed after it was signed, or was not signed with key {mine}"
