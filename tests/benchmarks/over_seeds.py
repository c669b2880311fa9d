"""Benchmarks of selective unlearning on real data: run over seeds, shown as means and extremes beside the target and the retrained model."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
from rich.console import Console
from rich.table import Table

from tasks.settings.unlearning_request import UnlearningRequest


def main(description: str, request: Callable[[Path], UnlearningRequest], shown: Mapping[str, str], settings: Sequence[str] = ()) -> None:
    """Parse the command line, measure every seed, and print.

    Args:
        description: The command's help.
        request: Folder of data -> what is asked for.
        shown: Metric -> what to call it.
        settings: Settings before the user's own.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--json", dest="json_file", type=Path)
    asked = parser.parse_args()
    from tasks.execution import isolation

    isolation.warm_up()
    cards = [measure(request(asked.data.resolve()), seed, [*settings, *asked.settings]) for seed in asked.seeds]
    Console(width=160).print(over_seeds(cards, shown))
    print("passed:", [card["verdict"]["passed"] for card in cards])
    if asked.json_file:
        asked.json_file.write_text(json.dumps(cards, indent=1), encoding="utf-8")


def measure(request: UnlearningRequest, seed: int, settings: list[str]) -> dict[str, Any]:
    """Unlearn once and return the scorecard."""
    from flows.selective_unlearning import selective_unlearning
    from flows.steps.settings import apply_settings
    from tasks import store
    from tasks.settings.selective_unlearning import preset
    from tasks.storage.plain_files import read_json

    outcome = selective_unlearning(request, apply_settings(preset("default", seed), settings))
    return read_json(store.path(outcome.scorecard) / "scorecard.json")


def over_seeds(cards: Sequence[dict[str, Any]], shown: Mapping[str, str]) -> Table:
    """Return the mean over seeds of every figure of the unlearned model, its least and largest value, and the other models' figures."""
    columns = ("figure", "target", "unlearned", "least, most", "x target", "least, most", "retrained", "x target")
    table = Table(*columns, title=f"{len(cards)} seeds", title_justify="left")
    for name, label in shown.items():
        rows = [card["metrics"][name] for card in cards if name in card["metrics"]]
        if rows:
            table.add_row(label, *_cells(rows))
    return table


def _cells(rows: list[dict[str, Any]]) -> list[str]:
    unlearned = [row["unlearned"] for row in rows]
    ratios = [row["unlearned"] / row["target"] for row in rows if row["target"]]
    target, retrained = rows[0]["target"], rows[0]["retrained"]
    spread = [f"{min(values):.4g}, {max(values):.4g}" if values else "-" for values in (unlearned, ratios)]
    return [
        _number(target),
        _number(float(numpy.mean(unlearned))),
        spread[0],
        _number(float(numpy.mean(ratios)) if ratios else None),
        spread[1],
        _number(retrained),
        _number(retrained / target if retrained is not None and target else None),
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
