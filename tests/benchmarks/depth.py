"""What deeper forgetting costs, and what comes back all the same: `scrub` on TOFU's forget10, at several weights, alone
and with what is meant to make forgetting last.

    python -m tests.benchmarks.depth --data DATA [--points weights-85 noise-15 ...] [--seeds 0] [--set key=value ...]

DATA holds `tofu/` and `tiny_lms/`. Forget quality is the p of the Kolmogorov-Smirnov test between the truth ratios of
both models; what comes back is asked after 30 steps of relearning, where most does. Rows that were measured before stay
in the result.
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

METHOD = "scrub"
SHOWN = TOFU | {"back": "forget_test/relearned_forget_30_probability"}


def weights(alpha: float) -> list[str]:
    """Return the settings of a pair of weights: of what is kept, and of what is forgotten."""
    return [f"scrub.alpha={alpha:g}", f"scrub.beta={1 - alpha:.2g}"]


ONE_IN_TWENTY = "distillation.held_share=0.05"
SURPRISAL = [*weights(0.85), "scrub.bound=15", "scrub.surprisal_share=1", "scrub.expected_weight=0.05"]
POINTS = {
    "weights-75": weights(0.75),
    "weights-85": weights(0.85),
    "weights-95": weights(0.95),
    "sharpness": [*weights(0.85), "training.sharpness=0.1"],
    "noise-15": [*weights(0.85), "distillation.noise_alpha=0.15", ONE_IN_TWENTY, "distillation.forget_text=false"],
    "noise-40": [*weights(0.85), "distillation.noise_alpha=0.4", ONE_IN_TWENTY, "distillation.steps=3000"],
    "noise-45-text": [
        *weights(0.85),
        "distillation.noise_alpha=0.45",
        "distillation.steps=3000",
        "distillation.text_share=0.5",
    ],
    "surprisal": SURPRISAL,
    "surprisal-noise-45": [
        *SURPRISAL,
        "distillation.noise_alpha=0.45",
        "distillation.steps=1200",
        "distillation.rate_at_7b=2e-5",
        "distillation.text_share=0.5",
    ],
    "noise-50": [
        *weights(0.85),
        "distillation.noise_alpha=0.5",
        ONE_IN_TWENTY,
        "distillation.steps=1500",
        "distillation.forget_text=false",
    ],
}
"""Row -> what is set beside the defaults."""


def figures(rows: Sequence[dict[str, Any]], point: str) -> dict[str, Any]:
    """Return the figures of one point over seeds, and those of the target and the retrained model."""
    made = over_seeds(list(rows), SHOWN)
    return {"target": made["target"], "retrained": made["retrained"], point: made[METHOD]}


def main() -> None:
    """Measure, record and print."""
    parser = recording.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--points", nargs="+", default=[*POINTS], choices=POINTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    asked = parser.parse_args()
    record, request = recording.begin(asked.results, asked.seeds), tofu.request(asked.data.resolve())
    for point in asked.points:
        settings = [*tofu.SETTINGS, *POINTS[point], *asked.settings]
        rows = []
        for seed in asked.seeds:
            rows.append(measure(METHOD, request, seed, settings, SHOWN))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        # each as it is there: a benchmark of hours may be ended
        record.write("depth", figures(rows, point), keep=True)


if __name__ == "__main__":
    main()
