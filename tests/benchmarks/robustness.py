"""What makes forgetting deep and lasting, each thing alone and all together: `whp` on a series of the embedded world.

    python -m tests.benchmarks.robustness [--variants none sharpness ...] [--seeds 0 1 2] [--set key=value ...]

Left is the probability of answers; come back is the most that any point of the relearning curves shows. Seconds are
those of the method's own stages. Rows that were measured before stay in the result.
"""

import json
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from flows.terminal import environment
from tests.benchmarks import recording
from tests.benchmarks.results import spread

environment.prepare()

from tests.benchmarks.methods import REQUIRED, SHARED, unlearn, world_request  # noqa: E402 - the environment first
from tests.benchmarks.over_seeds import comes_back  # noqa: E402

WEAK = ["labels.suppress_topic=0", "finetune.courses=1", "finetune.self_written_blocks=0"]
PLAIN = ["finetune.sharpness=0"]
SHARP = ["finetune.sharpness=0.3"]
NOISED = ["distillation.noise_alpha=0.2"]
VARIANTS = {
    "none": [*WEAK, *PLAIN],
    "strength": PLAIN,
    "sharpness": [*WEAK, *SHARP],
    "distillation": [*WEAK, *PLAIN, *NOISED],
    "trace": [*WEAK, *PLAIN, "localisation.by=trace"],
    "random": [*WEAK, *PLAIN, "localisation.by=random"],
    "strength and sharpness": SHARP,
    "strength, sharpness and distillation": [*SHARP, *NOISED],
    "strength, sharpness and trace": [*SHARP, "localisation.by=trace"],
    "all": [*SHARP, *NOISED, "localisation.by=trace"],
}
"""Name -> what is set beside the defaults; strength and sharpness are the default."""
TOPIC = "series"
KEPT = {
    "retain_test": "retain_test/probability",
    "sibling": "sibling/probability",
    "general": "general/perplexity",
}


def figures_of(card: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of one scorecard."""
    metrics = card["metrics"]
    left = metrics["forget_test/probability"]
    cost = (seconds for stage, seconds in card["cost"].items() if stage.split()[0] not in SHARED)
    return {
        "left": {model: left.get(model) for model in ("target", "unlearned", "retrained")},
        "back": comes_back(card),
        **{split: metrics[figure]["unlearned"] / metrics[figure]["target"] for split, figure in KEPT.items()},
        "failed": [check for check in REQUIRED if card["verdict"][check] is False],
        "passed": card["verdict"]["passed"],
        "seconds": sum(cost),
    }


def over_seeds(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of one variant over seeds."""
    return {
        **{name: spread(row[name]["unlearned"] for row in rows) for name in ("left", "back")},
        **{name: spread(row[name] for row in rows) for name in KEPT},
        "failed": dict(Counter(check for row in rows for check in row["failed"])),
        "passed": sum(row["passed"] for row in rows),
        "runs": len(rows),
        "seconds": statistics.fmean(row["seconds"] for row in rows),
    }


def models(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of the target and the retrained model over seeds."""
    return {
        model: {name: spread(row[name][model] for row in rows) for name in ("left", "back")}
        for model in ("target", "retrained")
    }


def measure(seed: int, settings: list[str]) -> dict[str, Any]:
    """Unlearn once."""
    from tasks import store
    from tasks.storage.plain_files import read_json

    outcome = unlearn("whp", world_request(TOPIC, seed), seed, settings)
    return figures_of(read_json(store.path(outcome.scorecard) / "scorecard.json"))


def main() -> None:
    """Measure, record and print."""
    parser = recording.parser(__doc__)
    parser.add_argument("--variants", nargs="+", default=[*VARIANTS], choices=VARIANTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    asked = parser.parse_args()
    record = recording.begin(asked.results, asked.seeds)
    for variant in asked.variants:
        rows = []
        for seed in asked.seeds:
            rows.append(measure(seed, [*VARIANTS[variant], *asked.settings]))
            print(json.dumps({"variant": variant, "seed": seed, **rows[-1]}), file=sys.stderr, flush=True)
        # each as it is there: a benchmark of hours may be ended
        record.write("robustness", {**models(rows), variant: over_seeds(rows)}, keep=True)


if __name__ == "__main__":
    main()
