"""Claims: of both files every byte is covered: whichever is changed, dropped or added, the file is not verified; nor is
one that was signed anew with another key, put together from two, or signed in another form. Texts that a page could
break at stay texts.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasks.storage.evidence_files import (
    CLOSE,
    LARGEST,
    OPEN,
    PAGE,
    RECORD,
    SCHEMA,
    NotVerifiedError,
    canonical,
    read_evidence,
    write_evidence,
)
from tasks.storage.signing_keys import fingerprint

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
BREAKING = "</script><script>alert(1)</script> \\u003c é \U0001f600 \x7f"
"""What could end the element that holds the record, or look like its escape."""
SMALL: dict[str, Any] = {
    "about": "Evidence.",
    "name": BREAKING,
    "numbers": [0.1, -0.0, 1e-300, 12, None, True],
    "run": {"id": "a" * 8},
}
HTML = f"<!doctype html>\n<p>Evidence: &eacute;</p>\n{OPEN.decode()}{CLOSE.decode()}\n<script>1</script>\n"
FILES = (RECORD, PAGE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_evidence(tmp_path, SMALL, HTML, KEY)
    return tmp_path


def verified(file: Path, data: bytes | None = None, key: Ed25519PrivateKey = KEY) -> dict[str, Any]:
    if data is not None:
        file.write_bytes(data)
    return read_evidence(file, key.public_key())


def fails(file: Path, data: bytes) -> bool:
    try:
        verified(file, data)
    except NotVerifiedError:
        return True
    return False


@pytest.mark.parametrize("name", FILES)
def test_either_file_gives_the_record_back_by_itself(folder: Path, name: str) -> None:
    for other in set(FILES) - {name}:
        (folder / other).unlink()
    found = verified(folder / name)
    page = hashlib.sha256(HTML.encode()).hexdigest()
    assert found == {**SMALL, "schema": SCHEMA, "page": page, "key": fingerprint(KEY.public_key())}


def test_what_is_signed_can_be_made_again_without_this_code(folder: Path) -> None:
    found = json.loads((folder / RECORD).read_text())
    signed = json.dumps(found["record"], sort_keys=True, separators=(",", ":")).encode()
    assert signed == canonical(found["record"])
    KEY.public_key().verify(bytes.fromhex(found["signature"]), signed)  # raises where it is not


def test_the_record_in_a_page_cannot_end_its_element(folder: Path) -> None:
    page = (folder / PAGE).read_bytes()
    inside = page.partition(OPEN)[2].partition(b"\n</script>")[0]
    assert b"<" not in inside
    assert json.loads(inside) == json.loads((folder / RECORD).read_bytes())
    assert page.count(b"<script") == HTML.count("<script")


@pytest.mark.parametrize("name", FILES)
def test_whichever_byte_is_changed_shows(folder: Path, name: str) -> None:
    """Each bit of each byte, and white space for white space, which readers of JSON and HTML overlook."""
    whole = (folder / name).read_bytes()
    assert not fails(folder / "copy", whole)
    passed = []
    for place, byte in enumerate(whole):
        others = {byte ^ 1 << bit for bit in range(8)} | ({*b" \t\r\n"} if chr(byte).isspace() else set())
        for other in sorted(others - {byte}):
            changed = bytearray(whole)
            changed[place] = other
            if not fails(folder / "copy", bytes(changed)):
                passed.append((place, chr(byte), chr(other)))
    assert passed == []


@pytest.mark.parametrize("name", FILES)
def test_a_byte_more_or_less_shows(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    passed = [place for place in range(len(whole)) if not fails(folder / "copy", whole[:place] + whole[place + 1 :])]
    for more in (b" ", b"0"):
        longer = (whole[:place] + more + whole[place:] for place in range(len(whole) + 1))
        passed += [place for place, data in enumerate(longer) if not fails(folder / "copy", data)]
    assert passed == []


@pytest.mark.parametrize("name", FILES)
def test_a_record_that_was_signed_anew_with_another_key_is_not_verified(folder: Path, name: str) -> None:
    write_evidence(folder, SMALL, HTML, OTHER)
    with pytest.raises(NotVerifiedError) as caught:
        verified(folder / name)
    mine, theirs = (fingerprint(key.public_key())[:16] for key in (KEY, OTHER))
    assert str(caught.value) == (
        f"{folder / name} is not verified: it says that it was signed with key {theirs}, and not with {mine}, by which"
        " it is verified"
    )
    assert verified(folder / name, key=OTHER)["name"] == BREAKING


def signed_by(key: Ed25519PrivateKey, record: dict[str, Any]) -> bytes:
    value = {"record": record, "signature": key.sign(canonical(record)).hex()}
    return json.dumps(value, sort_keys=True, indent=1).encode() + b"\n"


def test_nor_one_that_names_the_key_that_it_was_not_signed_with(folder: Path) -> None:
    record = json.loads((folder / RECORD).read_text())["record"]
    assert signed_by(KEY, record) == (folder / RECORD).read_bytes()
    with pytest.raises(NotVerifiedError, match="was changed after it was signed, or was not signed with key"):
        verified(folder / RECORD, signed_by(OTHER, record))


def test_nor_a_page_with_the_record_of_another(folder: Path, tmp_path: Path) -> None:
    page = (folder / PAGE).read_bytes()
    write_evidence(folder, {**SMALL, "about": "Other."}, HTML.replace("Evidence", "Proof"), KEY)
    other = (folder / PAGE).read_bytes()
    head, tail = other.partition(OPEN)[0], other.rpartition(CLOSE + b"\n<script>")[2]
    inside = page.partition(OPEN)[2].partition(CLOSE)[0]
    mixed = head + OPEN + inside + CLOSE + b"\n<script>" + tail
    assert mixed.replace(b"Proof", b"Evidence") == page
    with pytest.raises(NotVerifiedError, match="the page was changed after it was signed"):
        verified(tmp_path / "mixed", mixed)


OTHERS: dict[str, Callable[[bytes, Any], bytes]] = {
    "nothing": lambda whole, found: b"",
    "text": lambda whole, found: b"Velmora lies by the river.",
    "binary": lambda whole, found: bytes(range(256)),
    "a list": lambda whole, found: b"[]",
    "deep nesting": lambda whole, found: b"[" * 100_000,
    "no signature": lambda whole, found: json.dumps({"record": found["record"]}).encode(),
    "a number as signature": lambda whole, found: json.dumps({**found, "signature": 1}).encode(),
    "an empty signature": lambda whole, found: json.dumps({**found, "signature": ""}).encode(),
    "a signature in capitals": lambda whole, found: json.dumps(
        {**found, "signature": found["signature"].upper()}
    ).encode(),
    "one more member": lambda whole, found: json.dumps({**found, "more": 1}).encode(),
    "another order": lambda whole, found: json.dumps(dict(reversed(found.items())), indent=1).encode() + b"\n",
    "a member twice": lambda whole, found: whole.replace(b'"about":', b'"about": "Proof.",\n  "about":'),
    "no number": lambda whole, found: whole.replace(b"0.1", b"NaN"),
    "an endless number": lambda whole, found: whole.replace(b"0.1", b"1e999"),
    "another spelling of a number": lambda whole, found: whole.replace(b"0.1", b"1e-1"),
    "another spelling of a letter": lambda whole, found: whole.replace(b"Evidence.", b"\\u0045vidence."),
    "two of them": lambda whole, found: whole * 2,
    "no record in the page": lambda whole, found: HTML.encode(),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_record_or_is_written_otherwise_is_not_verified_and_not_quoted(folder: Path, name: str) -> None:
    whole = (folder / RECORD).read_bytes()
    data = OTHERS[name](whole, json.loads(whole))
    assert data != whole
    with pytest.raises(NotVerifiedError) as caught:
        verified(folder / "other", data)
    assert "Velmora" not in str(caught.value)


def test_a_signed_value_of_another_form_is_no_record(folder: Path) -> None:
    """The key may be asked to sign something else one day."""
    for other in ({}, {"schema": "lethe.other.v1", "page": ""}, {"schema": SCHEMA}, {"schema": SCHEMA, "page": 1}):
        with pytest.raises(NotVerifiedError, match="it is no evidence record"):
            verified(folder / "other", signed_by(KEY, other))


def test_what_is_too_large_is_not_read(folder: Path) -> None:
    with (folder / "large").open("wb") as stream:
        stream.truncate(LARGEST + 10)
    with pytest.raises(NotVerifiedError, match="it is no evidence record"):
        verified(folder / "large")


@pytest.mark.parametrize("page", ["<p></p>", HTML * 2, HTML.replace(CLOSE.decode(), "{}", 1)])
def test_a_page_without_one_empty_element_for_the_record_is_refused(tmp_path: Path, page: str) -> None:
    with pytest.raises(ValueError, match="no empty element for the record, or several"):
        write_evidence(tmp_path, SMALL, page, KEY)


def test_numbers_that_are_none_are_not_signed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_evidence(tmp_path, {"figure": float("nan")}, HTML, KEY)
    assert list(tmp_path.iterdir()) == []
