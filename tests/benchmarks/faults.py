"""What was tried against the product, and how much of it held: the fault suite, counted by kind of fault.

    python -m tests.benchmarks.faults [--before COMMIT] [PYTEST OPTIONS]

A test counts what it tries and what held with `record_property`; one that does not is one try. A test that fails before
it has counted is one try that did not hold. Kinds that pytest's options leave out stay in the result. With `--before`
the same tests are run on an earlier commit instead, with the product as it was, and stand beside what is in the result:
what they name that did not exist then has not held.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.benchmarks import recording
from tests.benchmarks.results import Row, read_result, write_result

SUITE = Path("tests") / "faults"
UNKNOWN = "not counted"


@dataclass(frozen=True, kw_only=True)
class Try:
    """One test of the suite."""

    kind: str
    tried: int
    held: int
    seconds: float
    leaks: Sequence[tuple[str, str, int, int]]
    """Kind of run, kind of place, canaries found before purge and after it."""


def tries_of(report: Path) -> list[Try]:
    """Return the tests of a JUnit report that were run."""
    cases = ElementTree.parse(report).getroot().iter("testcase")  # noqa: S314 - written a moment ago by pytest
    return [_try(case) for case in cases if case.find("skipped") is None]


def _try(case: ElementTree.Element) -> Try:
    noted = {str(each.get("name")): str(each.get("value")) for each in case.iter("property")}
    passed = case.find("failure") is None and case.find("error") is None
    tried = int(noted.get("tried", 1))
    return Try(
        kind=noted.get("kind") or _kind_of(str(case.get("name"))),
        tried=tried,
        held=int(noted.get("held", tried * passed)),
        seconds=float(case.get("time", 0)),
        leaks=[tuple(row) for row in ast.literal_eval(noted.get("leaks", "[]"))],
    )


def _kind_of(module: str) -> str:
    """Return the kind of a module that could not be loaded, by its name."""
    file = recording.ROOT / f"{module.replace('.', '/')}.py"
    found = re.search(r'^KIND = "(.*)"$', file.read_text(encoding="utf-8"), re.MULTILINE) if file.is_file() else None
    return found[1] if found else UNKNOWN


def by_kind(tries: Iterable[Try]) -> dict[str, dict[str, float]]:
    """Return tried, held and seconds of each kind."""
    found: dict[str, dict[str, float]] = {}
    for each in tries:
        row = found.setdefault(each.kind, {"tried": 0, "held": 0, "seconds": 0.0})
        row["tried"] += each.tried
        row["held"] += each.held
        row["seconds"] += each.seconds
    return found


def leaks_of(tries: Iterable[Try]) -> dict[str, Row]:
    """Return the rows of the leak table."""
    rows = [row for each in tries for row in each.leaks]
    return {f"{run}: {place}": {"before": before, "after": after} for run, place, before, after in rows}


def run_suite(checkout: Path, report: Path, options: Sequence[str]) -> list[Try]:
    """Run the whole suite in a checkout and return its tests."""
    command = [sys.executable, "-m", "pytest", str(SUITE), "-m", "not gpu and not network"]
    command += [f"--junitxml={report}", "-o", "junit_family=xunit1"]  # the one of pytest's forms that has properties
    inside = os.environ | {"PYTHONPATH": str(checkout)}  # also what it starts, wherever the product is installed from
    subprocess.run([*command, *options], cwd=checkout, env=inside, check=False)
    return tries_of(report)


def run_before(commit: str, folder: Path, options: Sequence[str]) -> list[Try]:
    """Run today's suite, with all that stands in for the world around it, on the product as it was."""
    old = folder / "before"
    subprocess.run(["git", "worktree", "add", "--detach", str(old), commit], cwd=recording.ROOT, check=True)
    try:
        shutil.rmtree(old / SUITE.parent)
        shutil.copytree(recording.ROOT / SUITE.parent, old / SUITE.parent)
        shutil.copy(recording.ROOT / "pyproject.toml", old)  # the tests' settings are in it
        return run_suite(old, folder / "before.xml", ["--continue-on-collection-errors", *options])
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(old)], cwd=recording.ROOT, check=True)


def beside(
    now: Mapping[str, Mapping[str, Any]], before: Mapping[str, Mapping[str, Any] | None]
) -> dict[str, dict[str, Any]]:
    """Return rows of the fault table with what was tried before, where that is known."""
    return {kind: {**row, **({"before": before[kind]} if before.get(kind) else {})} for kind, row in now.items()}


def note_before(file: Path, before: Mapping[str, Mapping[str, Any]]) -> None:
    """Put what an earlier commit held beside what is in a result, whose figures and provenance stay as they are."""
    last, *earlier = (replace(part, figures=beside(part.figures, before)) for part in read_result(file))
    for part in [*earlier[::-1], last]:
        write_result(file, part, keep=True)


def noted(file: Path) -> dict[str, Any]:
    """Return what a result says of an earlier commit, by kind."""
    parts = read_result(file) if file.is_file() else []
    return {kind: row.get("before") for part in parts for kind, row in part.figures.items()}


def main() -> None:
    """Run, print and write."""
    parser = recording.parser(__doc__)
    parser.add_argument("--before", help="An earlier commit, to be run instead of this one.")
    arguments, options = parser.parse_known_args()
    record, file = recording.begin(arguments.results), arguments.results / "faults.json"
    with tempfile.TemporaryDirectory() as made:
        if arguments.before:
            found = by_kind(run_before(arguments.before, Path(made), options))
            note_before(file, {kind: {**row, "commit": arguments.before} for kind, row in found.items()})
            return
        now = run_suite(recording.ROOT, Path(made) / "now.xml", options)
    record.write("faults", beside(by_kind(now), noted(file)), keep=True)
    if leaks := leaks_of(now):
        record.write("leaks", leaks, keep=True)


if __name__ == "__main__":
    main()
