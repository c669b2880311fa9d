"""What `lethe sweep` finds where the documentation speaks of it: the rate of adapters, and SCRUB over the source work's
three pairs of weights.

    python -m tests.benchmarks.sweeps adapters [--methods npo simnpo undial]
    python -m tests.benchmarks.sweeps scrub --data DATA

The command itself is run, in the usual LETHE_HOME, and its result for machines is read. DATA holds `winobias/` and
`tiny_lms/`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks import recording

GRID = ("--grid", "training.least_steps=160,320", "--grid", "lora.rate_factor=2,5,10")
SCRUB = ("--preset", "gpt2-winobias", "--set", "relearning.steps=[]", "--set", "benchmarking.limit=20")
"""The source work's settings; what the table does not show is left out."""
WEIGHTS = ("last_loss_nats", "retain_kl_nats", "forget_kl_nats", "stereotype_preference", "healthy")


def swept(*words: str) -> dict[str, Any]:
    """Run `lethe sweep` and return its result."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "swept.json"
        subprocess.run(
            [sys.executable, "-m", "flows.cli", "sweep", *words, "--json", str(file)], cwd=recording.ROOT, check=True
        )
        return json.loads(file.read_text(encoding="utf-8"))


def adapter_rates(methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what is left and kept at each point of the grid, for each method."""
    found = {}
    for method in methods:
        value = swept("--topic", "second-series", "--floor", "0.92", "--method", method, "--set", "lora.rank=16", *GRID)
        for trial in value["trials"]:
            row = {"left": trial["forget"], "target": value["target_forget"], "kept": trial["retain_ratio"]}
            found[point(method, trial["settings"])] = row
    return found


def point(method: str, settings: Sequence[str]) -> str:
    """Return what the table calls a trial."""
    chosen = dict(setting.split("=") for setting in settings)
    return f"`{method}`, {chosen['training.least_steps']} steps, {chosen['lora.rate_factor']} times the rate"


def scrub_weights(data: Path) -> dict[str, dict[str, Any]]:
    """Return how each pair of weights ended, and the target model."""
    value = swept(
        "--method", "scrub", "--winobias", str(data / "winobias"), "--model", str(data / "tiny_lms" / "books"), *SCRUB
    )
    rows = {"before": value["baseline"], **{run["run"]: run for run in value["runs"]}}
    return {
        label: {name: row.get(name) for name in WEIGHTS} | {"reasons": _failed(row["reasons"])}
        for label, row in rows.items()
    }


def _failed(reasons: Sequence[str]) -> str | None:
    return "; ".join(reason for reason in reasons if ": fails" in reason) or None


def main() -> None:
    """Measure, record and print."""
    parser = recording.parser(__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    kinds.add_parser("adapters").add_argument("--methods", nargs="+", default=["npo", "simnpo", "undial"])
    kinds.add_parser("scrub").add_argument("--data", type=Path, required=True)
    asked = parser.parse_args()
    record = recording.begin(asked.results, [0])
    _record(record, asked)


def _record(record: recording.Recording, asked: argparse.Namespace) -> None:
    if asked.kind == "adapters":
        record.write("adapter_rates", adapter_rates(asked.methods), keep=True)
    else:
        record.write("scrub_weights", scrub_weights(asked.data.resolve()))


if __name__ == "__main__":
    main()
