"""How much of a topic a given text covers, and what forgetting the rest too changes: the first book of a series of the
embedded world.

    python -m tests.benchmarks.coverage [--seeds 0 1 2] [--set key=value ...] [--json FILE]

The target model has read the later books as well, so it is known what the given book does not tell. It is unlearned
twice: as it is given, and with what `--expand-coverage` adds without a look. Of the names that are listed as not
covered, those that the later books hold are no inventions.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from flows.terminal import environment
from tests.benchmarks import recording
from tests.benchmarks.results import spread

environment.prepare()

from tasks.algorithms.world.requests import Request, read_request  # noqa: E402 - the environment comes first
from tests.benchmarks.topics import book_parts  # noqa: E402

WAYS = {"measure": "the book alone", "expand": "with what the model tells"}
"""Value of `coverage` -> what the table calls it."""
COUNTS = ("share", "facts", "reproduced", "told", "texts", "uncovered", "of later books")


def measure(seed: int, settings: list[str]) -> dict[str, Any]:
    """Unlearn the book in both ways; return what coverage found and a row for each part of the topic and each way."""
    from flows.demo import embedded_request
    from flows.selective_unlearning import selective_unlearning
    from flows.steps.settings import apply_settings
    from tasks.algorithms.world.generator import WorldConfig, build_world
    from tasks.settings.selective_unlearning import preset

    request = read_request(build_world(WorldConfig(seed=seed)), "book")
    asked, _ = embedded_request("book", seed)
    config, rows, found = apply_settings(preset("default", seed), settings), [], {}
    for way, label in WAYS.items():
        outcome = selective_unlearning(asked, config, coverage=way)
        found = found or _found(outcome.coverage, request)
        rows += [{"forgotten": label, **row} for row in book_parts(outcome, request)]
    return {"seed": seed, "coverage": found, "parts": rows}


def _found(report: Any, request: Request) -> dict[str, Any]:
    from tasks import store
    from tasks.storage.plain_files import read_json

    uncovered = read_json(store.path(report) / "coverage.json")["uncovered"]
    told = "\n".join(
        [
            *request.rest.passages,
            *(text for lesson in request.rest.lessons for text in (lesson.question, lesson.answer)),
        ]
    )
    counts = {name: getattr(report, name) for name in COUNTS if hasattr(report, name)}
    return counts | {"uncovered": len(uncovered), "of later books": sum(name in told for name in uncovered)}


def found_over_seeds(measured: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the extremes of every count."""
    values = {
        name: [item["coverage"][name] for item in measured if item["coverage"].get(name) is not None] for name in COUNTS
    }
    return {name: {"least": min(found), "most": max(found)} for name, found in values.items() if found}


def left_over_seeds(measured: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the probability of true answers on every part of the topic: the target's and the retrained model's, and
    after forgetting in each way.
    """
    parts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in measured:
        for row in item["parts"]:
            parts[row["part"]].append(row)
    return {part: _over_seeds(rows) for part, rows in parts.items()}


def _over_seeds(rows: list[dict[str, Any]]) -> dict[str, Any]:
    ways = {label: spread(row["unlearned"] for row in rows if row["forgotten"] == label) for label in WAYS.values()}
    target, retrained = (spread(row[model] for row in rows) for model in ("target", "retrained"))
    return {"target": target, **ways, "retrained": retrained}


def main() -> None:
    """Measure, record and print."""
    parser = recording.parser(__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--json", dest="json_file", type=Path)
    asked = parser.parse_args()
    record = recording.begin(asked.results, asked.seeds)

    measured = []
    for seed in asked.seeds:
        measured.append(measure(seed, asked.settings))
        print(json.dumps(measured[-1]), file=sys.stderr, flush=True)
    record.write("coverage_found", found_over_seeds(measured))
    record.write("coverage", left_over_seeds(measured))
    if asked.json_file:
        asked.json_file.write_text(json.dumps(measured, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
