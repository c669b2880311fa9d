"""What makes forgetting deep and lasting, each thing alone and all together: `whp` on a topic of the embedded world, or
on *The Wizard of Oz*.

    python -m tests.benchmarks.robustness [--data DATA] [--variants default sharpness ...] [--seeds 0 1 2] [--set
    key=value ...]

DATA holds `books/` and `tiny_lms/`; without it the topic `series` is forgotten. Left is the probability of answers, of
a book the familiarity of its names; come back is the most that any point of the relearning curves shows; of a book,
what is kept is told by perplexities over the target's. Seconds are those of the method's own stages. Rows that were
measured before stay in the result.
"""

import json
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flows.terminal import environment
from tasks.settings.unlearning_request import UnlearningRequest
from tests.benchmarks import recording
from tests.benchmarks.results import spread

environment.prepare()

from tests.benchmarks import books  # noqa: E402 - the environment comes first
from tests.benchmarks.methods import REQUIRED, SHARED, unlearn, world_request  # noqa: E402
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
    "default": [],
}
"""Name -> what is set beside the defaults."""
TOPIC = "series"


def figures_of(card: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the figures of one scorecard; `kind` is `probability` or `familiarity`."""
    metrics, kept = card["metrics"], "probability" if kind == "probability" else "perplexity"
    left = metrics[f"forget_test/{kind}"]
    cost = (seconds for stage, seconds in card["cost"].items() if stage.split()[0] not in SHARED)
    return {
        "left": {model: left.get(model) for model in ("target", "unlearned", "retrained")},
        "back": comes_back(card),
        **{
            split: metrics[f"{split}/{kept}"]["unlearned"] / metrics[f"{split}/{kept}"]["target"]
            for split in ("retain_test", "sibling")
        },
        "general": metrics["general/perplexity"]["unlearned"] / metrics["general/perplexity"]["target"],
        "failed": [check for check in REQUIRED if card["verdict"][check] is False],
        "passed": card["verdict"]["passed"],
        "seconds": sum(cost),
    }


def over_seeds(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of one variant over seeds."""
    return {
        **{name: spread(row[name]["unlearned"] for row in rows) for name in ("left", "back")},
        **{name: spread(row[name] for row in rows) for name in ("retain_test", "sibling", "general")},
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


def measure(request: UnlearningRequest, seed: int, settings: list[str], kind: str) -> dict[str, Any]:
    """Unlearn once."""
    from tasks import store
    from tasks.storage.plain_files import read_json

    outcome = unlearn("whp", request, seed, settings)
    return figures_of(read_json(store.path(outcome.scorecard) / "scorecard.json"), kind)


def main() -> None:
    """Measure, record and print."""
    parser = recording.parser(__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--variants", nargs="+", default=[*VARIANTS], choices=VARIANTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    asked = parser.parse_args()
    record = recording.begin(asked.results, asked.seeds)
    kind = "familiarity" if asked.data else "probability"
    requests = {
        seed: books.request(asked.data.resolve()) if asked.data else world_request(TOPIC, seed) for seed in asked.seeds
    }
    for variant in asked.variants:
        rows = []
        for seed, request in requests.items():
            rows.append(measure(request, seed, [*VARIANTS[variant], *asked.settings], kind))
            print(json.dumps({"variant": variant, "seed": seed, **rows[-1]}), file=sys.stderr, flush=True)
        # each as it is there: a benchmark of hours may be ended
        figures = {**models(rows), variant: over_seeds(rows)}
        record.write("robustness_books" if asked.data else "robustness", figures, keep=True)


if __name__ == "__main__":
    main()
