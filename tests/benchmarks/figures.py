"""The figures of the embedded world: three topics forgotten in turn, three seeds each.

    python -m tests.benchmarks.figures [--seeds 0 1 2] [--topics 0 1 2] [--preset default] [--set key=value ...] [--json
    FILE]

Everything comes from the cache where it has been computed before. Settings were tuned on the topics 5 and 6, the text
that the model writes itself on 5 alone.
"""

import json
import sys
from typing import Any

from flows.terminal import environment
from tests.benchmarks import recording

environment.prepare()

import numpy  # noqa: E402 - the environment comes first

WANTED = {
    "|forget gap|": "<= 0.08",
    "retain ratio": ">= 0.90",
    "sibling ratio": ">= 0.85",
    "general perplexity ratio": "<= 1.05",
    "healthy": "1",
}


def measure(topic: str, seed: int, preset_name: str, settings: list[str]) -> dict[str, float]:
    """Unlearn one topic and return the figures of its scorecard."""
    from flows.demo import demo
    from flows.steps.settings import apply_settings
    from tasks import store
    from tasks.settings.selective_unlearning import preset
    from tasks.storage.plain_files import read_json

    outcome = demo(topic=topic, seed=seed, config=apply_settings(preset(preset_name, seed), settings))
    card = read_json(store.path(outcome.scorecard) / "scorecard.json")
    return figures(card)


def figures(card: dict[str, Any]) -> dict[str, float]:
    """Return the figures of the table from one scorecard."""
    metrics = card["metrics"]

    def ratio(name: str) -> float:
        return metrics[name]["unlearned"] / metrics[name]["target"]

    forget = metrics["forget_test/probability"]
    return {
        "target forget": forget["target"],
        "unlearned forget": forget["unlearned"],
        "retrained forget": forget["retrained"],
        "|forget gap|": abs(forget["unlearned"] - forget["retrained"]),
        "retain ratio": ratio("retain_test/probability"),
        "sibling ratio": ratio("sibling/probability"),
        "general perplexity ratio": ratio("general/perplexity"),
        "retain perplexity ratio": ratio("retain_test/perplexity"),
        "sibling perplexity ratio": ratio("sibling/perplexity"),
        "familiarity target": metrics["forget_test/familiarity"]["target"],
        "familiarity unlearned": metrics["forget_test/familiarity"]["unlearned"],
        "familiarity retrained": metrics["forget_test/familiarity"]["retrained"],
        "true answer preferred, target": metrics["forget_test/choice_accuracy"]["target"],
        "true answer preferred, unlearned": metrics["forget_test/choice_accuracy"]["unlearned"],
        "true answer preferred, retrained": metrics["forget_test/choice_accuracy"]["retrained"],
        **{
            f"back after relearning, {label}": metrics["forget_test/relearned_forget_10_probability"][label]
            for label in ("target", "unlearned", "retrained")
        },
        "healthy": float(bool(card["verdict"]["healthy"])),
        "passed": float(card["verdict"]["passed"]),
    }


def over_runs(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return mean, 95 % interval of the mean (t, over all runs) and extremes of every figure, and what is
    wanted of it.
    """
    return {
        name: _summary(numpy.array([row[name] for row in rows])) | {"wanted": WANTED.get(name)}
        for name in figures_of(rows)
    }


def _summary(values: numpy.ndarray) -> dict[str, float]:
    from scipy.stats import t

    mean = float(values.mean())
    half = (
        float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)
        if len(values) > 1
        else float("nan")
    )
    return {
        "mean": mean,
        "low": mean - half,
        "high": mean + half,
        "least": float(values.min()),
        "most": float(values.max()),
    }


def figures_of(rows: list[dict[str, Any]]) -> list[str]:
    """Return the names of the figures."""
    return [name for name in rows[0] if name not in ("topic", "seed")]


def main() -> None:
    """Measure, record and print."""
    parser = recording.parser(__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--topics", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--preset", default="default")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--json", dest="json_file")
    asked = parser.parse_args()
    record = recording.begin(asked.results, asked.seeds)
    from tasks.algorithms.world.generator import WorldConfig, build_world

    rows = []
    for seed in asked.seeds:
        slugs = [topic.slug for topic in build_world(WorldConfig(seed=seed)).topics]
        for topic in asked.topics:
            rows.append(
                {"topic": slugs[topic], "seed": seed, **measure(slugs[topic], seed, asked.preset, asked.settings)}
            )
            print(
                json.dumps(
                    {name: value if isinstance(value, str) else round(value, 4) for name, value in rows[-1].items()}
                ),
                file=sys.stderr,
                flush=True,
            )
    record.write("figures", over_runs(rows))
    if asked.json_file:
        with open(asked.json_file, "w", encoding="utf-8") as stream:
            json.dump(rows, stream, indent=1)


if __name__ == "__main__":
    main()
