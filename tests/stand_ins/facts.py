"""A fact world and a fact model of a size for tests, in which an edit works.

    python -m tests.stand_ins.facts FOLDER

trains the model into FOLDER: in a process of its own, since checks of shapes and types make the world's text five times
slower.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from transformers import AutoModelForCausalLM, AutoTokenizer

from tasks.settings.fact_model import FactModelConfig, FactWorldConfig

SMALL_WORLD = FactWorldConfig(
    people=24,
    name_pool=6,
    places=6,
    superlatives=1,
    objects=6,
    at_once=0.5,
    questions=0.05,
    tuning_share=0.3,
    distractors=0.5,
)
"""120 facts, 96 of them of people."""
SMALL_MODEL = FactModelConfig(steps=900, layers=2, learning_rate=3e-3, mask_share=0.9)
"""Learns them in half a minute on one core."""


@dataclass(frozen=True, kw_only=True)
class TrainedFacts:
    """A trained model's folder."""

    folder: Path

    def load(self) -> tuple[Any, Any]:
        """Return the model, in evaluation mode, and its tokenizer."""
        model = AutoModelForCausalLM.from_pretrained(self.folder, local_files_only=True).eval()
        return model, AutoTokenizer.from_pretrained(self.folder, local_files_only=True)


def trained_facts(folder: Path) -> TrainedFacts:
    """Return the model of the small world, trained into `folder` unless it is there; whoever comes second waits."""
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not (folder / "config.json").exists():
            home = folder.with_name(f"{folder.name}-home")
            subprocess.run(
                [sys.executable, "-m", "tests.stand_ins.facts", str(folder)],
                check=True,
                env={**os.environ, "LETHE_HOME": str(home)},
            )
            shutil.rmtree(home)
    return TrainedFacts(folder=folder)


def main() -> None:
    """Train through the stage, and copy what it stored."""
    from tasks import store
    from tasks.fact_model import train_fact_model

    shutil.copytree(store.path(train_fact_model.body(SMALL_WORLD, SMALL_MODEL, (), "target")), sys.argv[1])


if __name__ == "__main__":
    main()
