"""WinoBias as splits: pro-stereotyped sentences are to be forgotten, the same sentences against the stereotype are to
be kept.

dev becomes `forget` and `retain`, test becomes `forget_test` and `retain_test`; records of a pair share their `fact`,
which names the occupation and the sentence: `construction worker type1-17`.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from tasks.algorithms.text.pairs import AlignedPair, align_lines
from tasks.artifacts import BadInputError
from tasks.inputs.plain_text import read_utf8

SPLITS = {"dev": ("forget", "retain"), "test": ("forget_test", "retain_test")}
"""Part of WinoBias -> split of the pro- and of the anti-stereotyped sentences."""
KINDS = ("type1", "type2")
"""Type 1: only knowledge of the world tells whom a pronoun means; type 2: syntax does."""


def read_pairs(folder: Path, part: str, kind: str = "type1") -> list[AlignedPair]:
    """Read the pairs of one part of WinoBias.

    Args:
        folder: Holds `pro_stereotyped_<kind>.txt.<part>` and `anti_stereotyped_<kind>.txt.<part>`.
        part: `dev` or `test`.
        kind: `type1` or `type2`.

    Raises:
        BadInputError: If a file is missing, or a line does not parse or does not match its partner (file and line
            named).
    """
    for name, value, choices in (("part", part, tuple(SPLITS)), ("kind", kind, KINDS)):
        if value not in choices:
            raise BadInputError(f"WinoBias: {name} is {value!r}; wanted {' or '.join(choices)}")
    files = [folder / f"{side}_stereotyped_{kind}.txt.{part}" for side in ("pro", "anti")]
    return read_aligned(*files)


def read_aligned(pro: Path, anti: Path) -> list[AlignedPair]:
    """Read any two files that are written and aligned as WinoBias' are.

    Raises:
        BadInputError: If a file is missing, is not UTF-8 or has no lines, or a line does not parse or does not match
            its partner.
    """
    lines = [_lines(file) for file in (pro, anti)]
    try:
        return align_lines(*lines)
    except ValueError as error:
        raise BadInputError(f"{pro} and {anti.name}, {error}") from None


def _lines(file: Path) -> list[str]:
    lines = read_utf8(file, str(file), "the files of WinoBias, such as pro_stereotyped_type1.txt.dev").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise BadInputError(f"{file} is empty; wanted a numbered sentence a line")
    return lines


def write_winobias(source: Path, folder: Path, kind: str = "type1") -> dict[str, Path]:
    """Write the four splits of one kind as JSON lines that every command accepts.

    Args:
        source: The files of WinoBias.
        folder: Where `forget.jsonl`, `retain.jsonl`, `forget_test.jsonl` and `retain_test.jsonl` go; made where it is
            not there.
        kind: `type1` or `type2`.

    Returns:
        Split -> file.

    Raises:
        BadInputError: As `read_pairs`; nothing is written then.
    """
    parts = {part: read_pairs(source, part, kind) for part in SPLITS}
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for part, pairs in parts.items():
        for split, side in zip(SPLITS[part], ("pro", "anti"), strict=True):
            written[split] = folder / f"{split}.jsonl"
            written[split].write_text("".join(_records(pairs, side, kind)), encoding="utf-8")
    return written


def _records(pairs: Sequence[AlignedPair], side: str, kind: str) -> list[str]:
    return [
        json.dumps({"text": getattr(pair, side), "fact": f"{pair.group} {kind}-{pair.number}"}, ensure_ascii=False)
        + "\n"
        for pair in pairs
    ]
