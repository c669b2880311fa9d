"""Adapters beside whole weights: each method on one topic of the embedded world in both ways, in its default settings,
with the same seed.

    python -m tests.benchmarks.adapters [--topic series] [--methods whp npo ...] [--rank 16] [--seed 0] [--set key=value
    ...]

Rows of methods that were measured before stay in the result.
"""

import argparse
import json
import sys
from typing import Any

from flows.terminal import environment
from tests.benchmarks import recording

environment.prepare()

from flows.methods import METHODS  # noqa: E402 - the environment comes first
from tests.benchmarks.methods import WORLD, measure, of_method, world_request  # noqa: E402

COMPARED = ("whp", "npo", "simnpo", "undial", "gradient_difference", "dpo", "rmu")


def measured(name: str, asked: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return the figures of a method with adapters, and with whole weights."""
    given, found = world_request(asked.topic, asked.seed), {}
    for label, settings in {"adapters": [f"lora.rank={asked.rank}"], "whole weights": []}.items():
        row = measure(name, given, asked.seed, [*settings, *asked.settings], WORLD)
        print(json.dumps({"way": label, **row}), file=sys.stderr, flush=True)
        found[label] = of_method([row], list(WORLD))
    return found


def main() -> None:
    """Measure, record and print."""
    parser = recording.parser(__doc__)
    parser.add_argument("--topic", default="series")
    parser.add_argument("--methods", nargs="+", default=COMPARED, choices=METHODS)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    asked = parser.parse_args()
    record = recording.begin(asked.results, [asked.seed])

    record.write("adapters", {name: measured(name, asked) for name in asked.methods}, keep=True)


if __name__ == "__main__":
    main()
