"""Benchmarks of one method on real data: run over seeds, recorded as means and extremes beside the target and
the retrained model.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flows.methods import AUTOMATIC, METHODS, method
from tasks.settings.unlearning_request import UnlearningRequest
from tests.benchmarks import recording
from tests.benchmarks.results import spread


def options(description: str, method: str) -> argparse.ArgumentParser:
    """Return the options that both have; `method` is the one that is measured unless another is asked for."""
    parser = recording.parser(description)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--method", default=method, choices=[*METHODS, *AUTOMATIC])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--json", dest="json_file", type=Path)
    return parser


def measured(
    asked: argparse.Namespace, request: UnlearningRequest, shown: Sequence[str], settings: Sequence[str] = ()
) -> dict[str, dict[str, Any]]:
    """Return the figures over the seeds asked for; `settings` come before the user's own."""
    cards = []
    for seed in asked.seeds:
        cards.append(measure(request, seed, [*settings, *asked.settings], asked.method))
        print(json.dumps({"seed": seed} | _row_of(cards[-1], shown)), file=sys.stderr, flush=True)
    if asked.json_file:
        asked.json_file.write_text(json.dumps(cards, indent=1), encoding="utf-8")
    return over_seeds(cards, shown)


def measure(request: UnlearningRequest, seed: int, settings: list[str], name: str = "whp") -> dict[str, Any]:
    """Unlearn once and return the scorecard; `auto` has its usual budget."""
    from flows.steps.settings import apply_settings
    from tasks import store
    from tasks.storage.plain_files import read_json

    chosen = method(name, METHODS | AUTOMATIC)
    outcome = chosen.flow()(request, apply_settings(chosen.preset("default", seed), settings))
    return read_json(store.path(outcome.scorecard) / "scorecard.json")


def over_seeds(cards: Sequence[dict[str, Any]], shown: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return every figure of the unlearned model, and its share of the target's, over seeds, and the other models'
    figures; what comes back at most, how long the method itself took, and how many passed.
    """
    found = {name: [card["metrics"][name] for card in cards if name in card["metrics"]] for name in shown}
    rows = {name: _row(figures) for name, figures in found.items() if figures}
    passed = {"unlearned": spread(float(card["verdict"]["passed"]) for card in cards)}
    return rows | {"back": _row([comes_back(card) for card in cards]), "passed": passed}


def comes_back(card: dict[str, Any]) -> dict[str, float | None]:
    """Return the most that any point of the relearning curves shows, of each model; of a book the familiarity of its
    names, else the probability of answers.
    """
    figures = card["metrics"]
    kind = "probability" if "forget_test/probability" in figures else "familiarity"
    curve = [
        found for name, found in figures.items() if name.startswith("forget_test/relearned_") and name.endswith(kind)
    ]
    return {
        model: max((found[model] for found in curve if found.get(model) is not None), default=None)
        for model in ("target", "unlearned", "retrained")
    }


def _row_of(card: dict[str, Any], shown: Sequence[str]) -> dict[str, Any]:
    figures = {name: card["metrics"][name]["unlearned"] for name in shown if name in card["metrics"]}
    failed = [check for check, held in card["verdict"].items() if held is False]
    return figures | {"back": comes_back(card)["unlearned"], "failed": failed}


def _row(rows: list[dict[str, Any]]) -> dict[str, Any]:
    target, retrained = rows[0]["target"], rows[0]["retrained"]
    return {
        "target": target,
        "unlearned": spread(row["unlearned"] for row in rows),
        "ratio": spread(row["unlearned"] / row["target"] for row in rows if row["target"]),
        "retrained": retrained,
        "retrained ratio": retrained / target if retrained is not None and target else None,
    }
