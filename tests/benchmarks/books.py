"""The README's figures on real text: a small model forgets *The Wizard of Oz*, with the anchors that the pipeline finds.

    python -m tests.benchmarks.books --data DATA [--seeds 0 1 2] [--set key=value ...] [--json FILE]

DATA holds `books/` and `tiny_lms/`. Prints each figure of the target, the unlearned and the retrained model, and the ratios to the target.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from flows import environment

environment.prepare()

from rich.console import Console  # noqa: E402 - the environment comes first

from tests.benchmarks.tables import over_seeds  # noqa: E402

SHOWN = {
    "forget_test/familiarity_first": "anchor probability, first token",
    "forget_test/familiarity": "anchor probability, whole anchors",
    "forget_test/familiarity_interior": "inside anchors",
    "forget_test/familiarity_completion": "completions naming an anchor",
    "forget_test/perplexity": "perplexity, the book itself",
    "retain_test/perplexity": "perplexity, retained books, unseen part",
    "general/perplexity": "perplexity, The Lost World",
    "sibling/perplexity": "perplexity, Peter Pan",
}


def arguments(data: Path) -> dict[str, Any]:
    """Return the flow's arguments."""
    books, models = data / "books", data / "tiny_lms"
    return {
        "forget": [str(books / "baum_wizard_of_oz.txt")],
        "retain": [str(books / "doyle_hound_of_the_baskervilles.txt"), str(books / "kipling_the_jungle_book.txt")],
        "sibling": [str(books / "barrie_peter_pan.txt")],
        "general": [str(books / "doyle_the_lost_world.txt")],
        "model": str(models / "books"),
        "retrained": str(models / "books_minus_oz"),
    }


def measure(data: Path, seed: int, settings: list[str]) -> dict[str, Any]:
    """Unlearn the book once and return its scorecard."""
    from flows.selective_unlearning import selective_unlearning
    from flows.settings import apply_settings
    from tasks import store
    from tasks.algorithms.config import preset
    from tasks.formats import read_json

    outcome = selective_unlearning(**arguments(data), config=apply_settings(preset("default", seed), settings))
    return read_json(store.path(outcome.scorecard) / "scorecard.json")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--json", dest="json_file", type=Path)
    asked = parser.parse_args()
    from tasks import isolation

    isolation.warm_up()
    cards = [measure(asked.data.resolve(), seed, asked.settings) for seed in asked.seeds]
    Console(width=160).print(over_seeds(cards, SHOWN))
    print("passed:", [card["verdict"]["passed"] for card in cards])
    if asked.json_file:
        asked.json_file.write_text(json.dumps(cards, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
