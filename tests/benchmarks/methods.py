"""All methods on one request, in their default settings: a topic of the embedded world, or TOFU's forget10.

    python -m tests.benchmarks.methods [--topic series] [--methods whp npo ...] [--seeds 0] [--set key=value ...]
    [--json FILE] [--out DIR] python -m tests.benchmarks.methods --data DATA [...]    (TOFU: a small model that learned
    all authors, and one that never saw those of forget10)

Settings were chosen on the topic `second-series`, see `tasks.settings.gradient_unlearning.TUNED`. Each method runs its
own flow and is judged by the same scorecard against a retrained model; questions that nobody was taught are the holdout
of the world. Rows of methods that were measured before stay in the result. `--out` writes the comparison page, with the
Pareto plot, of the first seed. Seconds are those of a method's own stages. `idk` is `dpo` under another name, and left
out unless it is asked for.
"""

import argparse
import json
import statistics
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from flows.terminal import environment
from tasks.settings.unlearning_request import UnlearningRequest
from tests.benchmarks import recording
from tests.benchmarks.results import spread

environment.prepare()

from flows.methods import METHODS  # noqa: E402 - the environment comes first
from tasks.reporting.run_tables import MEASURING  # noqa: E402

NEAR, KEPT = 0.10, 0.85
"""Distance to the retrained model's forget probability, and share of the target's retain probability: what is asked of
a method."""
SHARED = frozenset({*MEASURING, "anchors", "translation", "facts"})
"""Stages that every method has; the others are its own."""
WORLD = {
    "forget": "forget_test/probability",
    "most": "forget_test/probability_most",
    "true preferred": "forget_test/choice_accuracy",
    "back": "forget_test/relearned_forget_10_probability",
    "min-k auc": "privacy/min_k_auc",
}
TOFU = {
    "forget": "forget_test/probability",
    "rouge": "forget_test/rouge_l",
    "truth ratio": "forget_test/truth_ratio",
    "quality p": "forget/forget_quality_p",
    "utility": "utility/model_utility",
}
RATIOS = {"retain": "retain_test/probability", "sibling": "sibling/probability", "general ppl": "general/perplexity"}
CHECKS = ("forgotten", "utility_kept", "healthy", "robust", "private")
REQUIRED = CHECKS[:-1]
"""What a verdict needs; `private` it needs only where that is asked for, and whatever changes weights fails it."""
MODELS = ("target", "retrained")


def world_request(topic: str, seed: int) -> UnlearningRequest:
    """Return the request for a topic of a world with two series that nobody was taught."""
    from flows.demo import embedded_request
    from tasks.algorithms.world.generator import WorldConfig

    return embedded_request(topic, seed, WorldConfig(unseen=2))[0]


def measure(
    name: str, request: UnlearningRequest, seed: int, settings: list[str], shown: dict[str, str]
) -> dict[str, Any]:
    """Unlearn with one method; return its figures and its tracked run."""
    return figures_of(name, unlearn(name, request, seed, settings), seed, shown)


def unlearn(name: str, request: UnlearningRequest, seed: int, settings: list[str]) -> Any:
    """Unlearn with one method in its default settings, changed as asked."""
    from flows.steps.settings import apply_settings

    return METHODS[name].flow()(request, apply_settings(METHODS[name].preset("default", seed), settings))


def figures_of(name: str, outcome: Any, seed: int, shown: dict[str, str]) -> dict[str, Any]:
    """Return what the scorecard of a run says."""
    from tasks import store
    from tasks.storage.plain_files import read_json

    card = read_json(store.path(outcome.scorecard) / "scorecard.json")
    metrics, verdict = card["metrics"], card["verdict"]
    ratios = {
        name: metrics[key]["unlearned"] / metrics[key]["target"] for name, key in RATIOS.items() if key in metrics
    }
    cost = {stage: seconds for stage, seconds in card.get("cost", {}).items() if stage.split()[0] not in SHARED}
    return {
        "method": name,
        "seed": seed,
        **{
            label: {model: metrics[key].get(model) for model in ("target", "unlearned", "retrained")}
            for label, key in shown.items()
            if key in metrics
        },
        **ratios,
        **{check: verdict[check] for check in CHECKS},
        "passed": verdict["passed"],
        "seconds": sum(cost.values()),
        "run": outcome.mlflow_run,
    }


def over_seeds(rows: list[dict[str, Any]], shown: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return the figures of the target and the retrained model, and of every method: over seeds, and how often each
    check failed.
    """
    labels = [label for label in shown if any(label in row for row in rows)]
    found = {
        model: {label: spread(row[label][model] for row in rows if label in row) for label in labels}
        for model in MODELS
    }
    methods: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        methods[row["method"]].append(row)
    return found | {name: of_method(measured, labels) for name, measured in methods.items()}


def of_method(rows: list[dict[str, Any]], labels: list[str]) -> dict[str, Any]:
    """Return the figures of one method over seeds."""
    failed = Counter(check for check in REQUIRED for row in rows if row[check] is False)
    return {
        **{label: spread(row[label]["unlearned"] for row in rows if label in row) for label in labels},
        **{label: spread(row.get(label) for row in rows) for label in RATIOS},
        "failed": dict(failed),
        "passed": sum(row["passed"] for row in rows),
        "runs": len(rows),
        "seconds": statistics.fmean(row["seconds"] for row in rows),
    }


def near_enough(rows: list[dict[str, Any]]) -> list[str]:
    """Return the methods that come near the retrained model and keep enough, in every seed."""
    names = dict.fromkeys(row["method"] for row in rows)

    def holds(row: dict[str, Any]) -> bool:
        return abs(row["forget"]["unlearned"] - row["forget"]["retrained"]) <= NEAR and row["retain"] >= KEPT

    return [name for name in names if all(holds(row) for row in rows if row["method"] == name)]


def main() -> None:
    """Measure, record and print."""
    parser = recording.parser(__doc__)
    parser.add_argument("--topic", default="series")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--methods", nargs="+", default=[name for name in METHODS if name != "idk"], choices=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--json", dest="json_file", type=Path)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    record, shown = recording.begin(asked.results, asked.seeds), TOFU if asked.data else WORLD
    rows = measured(asked, shown)
    record.write("methods_tofu" if asked.data else "methods", over_seeds(rows, shown), keep=True)
    print(
        f"within {NEAR} of the retrained model and at least {KEPT} of the target's retain probability:"
        f" {', '.join(near_enough(rows)) or 'none'}"
    )
    if asked.json_file:
        asked.json_file.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    if asked.out:
        from flows.comparison import compare
        from flows.terminal.results import as_result

        as_result(compare([row["run"] for row in rows if row["seed"] == rows[0]["seed"]]), str(asked.out))


def measured(asked: argparse.Namespace, shown: dict[str, str]) -> list[dict[str, Any]]:
    """Return a row for each seed and method; each is shown on stderr when it is there."""
    from tests.benchmarks import tofu

    rows: list[dict[str, Any]] = []
    settings = [*(tofu.SETTINGS if asked.data else ()), *asked.settings]
    for seed in asked.seeds:
        request = tofu.request(asked.data.resolve()) if asked.data else world_request(asked.topic, seed)
        for name in asked.methods:
            rows.append(measure(name, request, seed, settings, shown))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


if __name__ == "__main__":
    main()
