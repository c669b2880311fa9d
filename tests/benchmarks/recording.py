"""How every benchmark begins and ends: the provenance of its figures, their file, and the table on the console."""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from tests.benchmarks.render import MADE, on_console
from tests.benchmarks.results import RESULTS, Measurement, Provenance, Row, write_result

ROOT = Path(__file__).resolve().parents[2]
OUTPUTS = ("--json", "--out", "--results")
"""Options that say where files go: no part of what was measured, and paths of somebody's machine."""
WIDTH = 200


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A measurement that has begun."""

    folder: Path
    provenance: Provenance

    def write(self, name: str, figures: Mapping[str, Row], *, keep: bool = False) -> None:
        """Write `<name>.json` and print its table.

        Args:
            name: A table's name in `TABLES`.
            figures: Row -> column -> value.
            keep: Whether rows of an earlier file that were not measured now stay; for tables whose rows are measured
                one by one.
        """
        file = self.folder / f"{name}.json"
        write_result(file, Measurement(provenance=self.provenance, figures=figures), keep=keep)
        Console(width=WIDTH).print(on_console(name, file))
        print(f"{file}: `make figures` puts it into {MADE.relative_to(ROOT)}")


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the option that every benchmark has."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument(
        "--results", type=Path, default=RESULTS, help="Folder for the figures; give another one to try something out."
    )
    return made


def begin(folder: Path, seeds: Sequence[int] = ()) -> Recording:
    """Note the provenance of figures before anything is measured: the code may change while a long benchmark runs."""
    commit, uncommitted = checkout(ROOT)
    today = datetime.now(UTC).date().isoformat()
    provenance = Provenance(
        command=command(sys.argv),
        seeds=list(seeds),
        date=today,
        commit=commit,
        uncommitted=uncommitted,
        machine=machine(),
    )
    return Recording(folder=folder, provenance=provenance)


def command(argv: Sequence[str]) -> str:
    """Return the command that was given, without the options in `OUTPUTS`."""
    words, kept = iter(argv[1:]), []
    for word in words:
        if word in OUTPUTS:
            next(words, None)
        elif word.partition("=")[0] not in OUTPUTS:
            kept.append(word)
    return shlex.join(["python", "-m", f"tests.benchmarks.{Path(argv[0]).stem}", *kept])


def checkout(root: Path) -> tuple[str, bool]:
    """Return the commit of a checkout, and whether its code differs from it; results, and the tables made of them, are
    no code.
    """
    if not shutil.which("git") or not (found := _git(root, "rev-parse", "--short=7", "HEAD")):
        return "unknown", False
    made = (f":(exclude){path.relative_to(ROOT)}" for path in (RESULTS, MADE))
    return found, bool(_git(root, "status", "--porcelain", "--", ".", *made))


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False).stdout.strip()


def machine() -> str:
    """Return cores that this process may use, and the GPUs."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return f"{cores} core{'s' * (cores != 1)}, {', '.join(gpus) or 'no GPU'}"
