"""One run on this machine alone, and on clusters of two workers on it: seconds, and whether the bits are equal.

    python -m tests.benchmarks.clusters [--runners local dask ray] [--set key=value ...]

The clusters are local, of as many processes as there are cores here: what is seen is what it costs to send stages
elsewhere, not what more machines bring. Needs the extras `dask` and `ray` for these.
"""

import argparse
import contextlib
import hashlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flows.terminal import environment
from tests.benchmarks import recording

environment.prepare()

from tests.stand_ins.clusters import cluster  # noqa: E402 - the environment comes first
from tests.stand_ins.command import lethe  # noqa: E402
from tests.stand_ins.tiny import TinyTask, write_tiny_task  # noqa: E402
from tests.stand_ins.tiny_models import make_llama, train_tokenizer  # noqa: E402

RUNNERS = ("local", "dask", "ray")
SETTINGS = ("finetune.epochs=60", "finetune.courses=1", "finetune.patience=1000")


@contextlib.contextmanager
def runner(kind: str) -> Iterator[list[str]]:
    """Lend the words by which stages run on a cluster of its own, or here."""
    if kind == "local":
        yield []
        return
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # Ray keeps sockets there, and their paths are short
    try:
        with cluster(kind, folder) as running:
            yield ["--runner", running.address, "--reproducible", "bitwise"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(kind: str, task: TinyTask, folder: Path, settings: list[str]) -> dict[str, Any]:
    """Run once from an empty store and once from its cache."""
    words = [*task.words(*SETTINGS, *settings), "--json", str(folder / f"{kind}.json")]
    with runner(kind) as where:
        first, again = (_seconds([*words, *where], folder / kind) for _ in range(2))
    made = json.loads((folder / f"{kind}.json").read_text(encoding="utf-8"))
    card = json.dumps(made["scorecard"]["metrics"], sort_keys=True).encode()
    return {
        "seconds": first,
        "again": again,
        "model": Path(made["model"]).name[:16],
        "figures": hashlib.sha256(card).hexdigest()[:16],
        "cached": sorted({*made["stages"].values()}) == ["Cached"],
    }


def _seconds(words: list[str], home: Path) -> float:
    began = time.monotonic()
    ended = lethe(*words, home=home, new=True)
    if ended.returncode:
        raise RuntimeError(ended.stderr)
    return time.monotonic() - began


def beside_local(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the rows with what they are beside this machine's, where that is among them."""
    if (local := rows.get("local")) is None:
        return rows
    return {
        name: row
        | {"equal": all(row[what] == local[what] for what in ("model", "figures"))}
        | {"ratio": row["seconds"] / local["seconds"]}
        for name, row in rows.items()
    }


def parsed() -> argparse.Namespace:
    """Return what was asked for."""
    parser = recording.parser(__doc__)
    parser.add_argument("--runners", nargs="+", default=[*RUNNERS], choices=RUNNERS)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    return parser.parse_args()


def main() -> None:
    """Measure, record and print."""
    asked = parsed()
    record, rows = recording.begin(asked.results), dict[str, dict[str, Any]]()
    folder = Path(tempfile.mkdtemp(prefix="lethe-clusters-"))
    try:
        task = write_tiny_task(folder, make_llama, train_tokenizer)
        for kind in asked.runners:
            rows[kind] = measure(kind, task, folder, asked.settings)
            print(kind, rows[kind], file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    record.write("clusters", beside_local(rows))


if __name__ == "__main__":
    main()
