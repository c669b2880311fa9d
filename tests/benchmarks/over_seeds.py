"""Benchmarks of selective unlearning on real data: run over seeds, recorded as means and extremes beside the target and
the retrained model.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tasks.settings.unlearning_request import UnlearningRequest
from tests.benchmarks import recording
from tests.benchmarks.results import spread


def main(
    name: str,
    description: str,
    request: Callable[[Path], UnlearningRequest],
    shown: Sequence[str],
    settings: Sequence[str] = (),
) -> None:
    """Parse the command line, measure every seed, record and print.

    Args:
        name: The result's.
        description: The command's help.
        request: Folder of data -> what is asked for.
        shown: Metrics.
        settings: Settings before the user's own.
    """
    parser = recording.parser(description)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--json", dest="json_file", type=Path)
    asked = parser.parse_args()
    record = recording.begin(asked.results, asked.seeds)
    cards = [measure(request(asked.data.resolve()), seed, [*settings, *asked.settings]) for seed in asked.seeds]
    record.write(name, over_seeds(cards, shown))
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


def over_seeds(cards: Sequence[dict[str, Any]], shown: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return every figure of the unlearned model, and its share of the target's, over seeds, and the other models'
    figures; how many passed.
    """
    found = {name: [card["metrics"][name] for card in cards if name in card["metrics"]] for name in shown}
    passed = {"unlearned": spread(float(card["verdict"]["passed"]) for card in cards)}
    return {name: _row(rows) for name, rows in found.items() if rows} | {"passed": passed}


def _row(rows: list[dict[str, Any]]) -> dict[str, Any]:
    target, retrained = rows[0]["target"], rows[0]["retrained"]
    return {
        "target": target,
        "unlearned": spread(row["unlearned"] for row in rows),
        "ratio": spread(row["unlearned"] / row["target"] for row in rows if row["target"]),
        "retrained": retrained,
        "retrained ratio": retrained / target if retrained is not None and target else None,
    }
