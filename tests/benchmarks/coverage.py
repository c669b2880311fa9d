"""How much of a topic a given text covers, and what forgetting the rest too changes: the first book of a series of the embedded world.

    python -m tests.benchmarks.coverage [--seeds 0 1 2] [--set key=value ...] [--json FILE]

The target model has read the later books as well, so it is known what the given book does not tell. It is unlearned twice: as it is given, and
with what `--expand-coverage` adds without a look. Of the names that are listed as not covered, those that the later books hold are no inventions.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from flows.terminal import environment

environment.prepare()

import numpy  # noqa: E402 - the environment comes first
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from tasks.algorithms.world.requests import Request, read_request  # noqa: E402
from tests.benchmarks.topics import MODELS, book_parts  # noqa: E402

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
    told = "\n".join([*request.rest.passages, *(text for lesson in request.rest.lessons for text in (lesson.question, lesson.answer))])
    counts = {name: getattr(report, name) for name in COUNTS if hasattr(report, name)}
    return counts | {"uncovered": len(uncovered), "of later books": sum(name in told for name in uncovered)}


def show(measured: list[dict[str, Any]]) -> list[Table]:
    """Return what was found, a row a seed, and the probabilities of true answers, means over seeds with extremes."""
    counts = Table("seed", *COUNTS, title="Coverage of what the target model tells", title_justify="left")
    for item in measured:
        counts.add_row(str(item["seed"]), *(f"{value:.3f}" if isinstance(value, float) else str(value) for value in map(item["coverage"].get, COUNTS)))
    parts = Table("asked about", "forgotten", *MODELS, "least, most", "passed", title=f"{len(measured)} seeds", title_justify="left")
    for number in range(len(measured[0]["parts"])):
        rows = [item["parts"][number] for item in measured]
        left = [row["unlearned"] for row in rows]
        means = [f"{numpy.mean([row[model] for row in rows]):.3f}" for model in MODELS]
        parts.add_row(rows[0]["part"], rows[0]["forgotten"], *means, f"{min(left):.3f}, {max(left):.3f}", f"{sum(row['passed'] for row in rows)}/{len(rows)}")
    return [counts, parts]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--json", dest="json_file", type=Path)
    asked = parser.parse_args()
    from tasks.execution import isolation

    isolation.warm_up()
    measured = []
    for seed in asked.seeds:
        measured.append(measure(seed, asked.settings))
        print(json.dumps(measured[-1]), file=sys.stderr, flush=True)
    for table in show(measured):
        Console(width=150).print(table)
    if asked.json_file:
        asked.json_file.write_text(json.dumps(measured, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
