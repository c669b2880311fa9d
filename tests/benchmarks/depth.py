"""How deep to forget: what is left, what is kept, and how near the model comes to one that never learned it, on TOFU's
forget10 by `npo` at several settings of `objective.until`.

    python -m tests.benchmarks.depth --data DATA [--until 0.03 0.01 0.003] [--seeds 0] [--set key=value ...]

DATA holds `tofu/` and `tiny_lms/`. Forget quality is the p of the Kolmogorov-Smirnov test between the truth ratios of
both models. Rows that were measured before stay in the result.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flows.terminal import environment
from tests.benchmarks import recording

environment.prepare()

from tests.benchmarks import tofu  # noqa: E402 - the environment comes first
from tests.benchmarks.methods import TOFU, measure, over_seeds  # noqa: E402

METHOD = "npo"


def point(until: float, settings: Sequence[str]) -> str:
    """Return what the table calls a setting."""
    return ", ".join((f"until {until:g}", *(setting.replace("=", " ") for setting in settings)))


def figures(rows: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the figures of one setting over seeds, and those of the target and the retrained model."""
    made = over_seeds(list(rows), TOFU)
    return {"target": made["target"], "retrained": made["retrained"], name: made[METHOD]}


def main() -> None:
    """Measure, record and print."""
    parser = recording.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--until", type=float, nargs="+", default=[0.03, 0.01, 0.003])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    asked = parser.parse_args()
    record, request = recording.begin(asked.results, asked.seeds), tofu.request(asked.data.resolve())
    for until in asked.until:
        settings = [*tofu.SETTINGS, f"objective.until={until}", *asked.settings]
        rows = []
        for seed in asked.seeds:
            rows.append(measure(METHOD, request, seed, settings, TOFU))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        # each as it is there: a benchmark of hours may be ended
        record.write("depth", figures(rows, point(until, asked.settings)), keep=True)


if __name__ == "__main__":
    main()
