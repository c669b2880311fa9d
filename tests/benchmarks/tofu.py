"""The README's figures on TOFU: a small model that learned all authors forgets those of forget10, judged against one that never saw them.

    python -m tests.benchmarks.tofu --data DATA [--seeds 0 1 2] [--set key=value ...] [--json FILE]

DATA holds `tofu/` and `tiny_lms/`. As TOFU has it, the questions that are forgotten are those that are asked.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from flows import environment

environment.prepare()

from rich.console import Console  # noqa: E402 - the environment comes first

from tests.benchmarks.tables import over_seeds  # noqa: E402

SETTINGS = ["probing.prompts=100", "probing.new_tokens=64"]
"""TOFU's answers are sentences: longer, and more of them, than the default asks for."""
SHOWN = {
    "forget_test/probability": "forget10: probability",
    "forget_test/rouge_l": "forget10: ROUGE-L recall",
    "forget_test/truth_ratio": "forget10: truth ratio (geometric), 1 is indifferent",
    "forget_test/choice_accuracy": "forget10: true answer preferred",
    "forget/forget_quality_p": "forget quality, p",
    "forget_test/answer_extraction_strength": "forget10: extraction strength",
    "forget_test/answer_exact_memorization": "forget10: exact memorization",
    "retain_test/probability": "retain: probability",
    "retain_test/rouge_l": "retain: ROUGE-L recall",
    "retain_test/truth_ratio": "retain: truth ratio",
    "sibling/probability": "real authors: probability",
    "general/probability": "world facts: probability",
    "utility/model_utility": "model utility",
}


def arguments(data: Path) -> dict[str, Any]:
    """Return the flow's arguments."""
    tofu, models = data / "tofu", data / "tiny_lms"
    return {
        "forget": [str(tofu / "forget10.json")],
        "forget_test": [str(tofu / "forget10_perturbed.json")],
        "retain": [str(tofu / "retain90.json")],
        "retain_test": [str(tofu / "retain_perturbed.json")],
        "sibling": [str(tofu / "real_authors_perturbed.json")],
        "general": [str(tofu / "world_facts_perturbed.json")],
        "model": str(models / "tofu_full"),
        "retrained": str(models / "tofu_retain90"),
    }


def measure(data: Path, seed: int, settings: list[str]) -> dict[str, Any]:
    """Unlearn forget10 once and return the scorecard."""
    from flows.selective_unlearning import selective_unlearning
    from flows.settings import apply_settings
    from tasks import store
    from tasks.algorithms.config import preset
    from tasks.formats import read_json

    outcome = selective_unlearning(**arguments(data), config=apply_settings(preset("default", seed), [*SETTINGS, *settings]))
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
