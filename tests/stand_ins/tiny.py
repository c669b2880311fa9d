"""A small task for whole flows: a made-up text to forget, one to keep, and a random model of two layers."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.settings.unlearning_request import UnlearningRequest

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

NAMES = ("Velmora", "Ostrin", "Kessandra", "Brindlewick")
PEOPLE = ("the farmer", "the baker", "the miller", "the teacher")
VERBS = "walked ran spoke listened waited laughed".split()
PLACES = ("by the river", "in the old barn", "near the market", "under the bridge")
SETTINGS = (
    "anchors.min_log_odds_z=0",
    "reinforcement.epochs=1",
    "reinforcement.block_size=32",
    "labels.block_size=32",
    "finetune.epochs=1",
    "finetune.least_steps=0",
    "finetune.self_written_blocks=0",
    "probing.window=64",
    "probing.prompts=4",
    "probing.new_tokens=4",
    "relearning.steps=[2]",
    "relearning.texts=[forget]",
    "relearning.block_size=32",
)
"""What makes a run on this task short."""


@dataclass(frozen=True, kw_only=True)
class TinyTask:
    """Paths of the task's files."""

    model: Path
    forget: Path
    retain: Path

    def request(self) -> UnlearningRequest:
        """Return the task as a request."""
        return UnlearningRequest(forget=(str(self.forget),), retain=(str(self.retain),), model=str(self.model))

    def words(self, *settings: str) -> list[str]:
        """Return the words of a short `lethe` run."""
        return [
            "unlearn",
            str(self.forget),
            "--retain",
            str(self.retain),
            "--model",
            str(self.model),
            *_as_options(*SETTINGS, *settings),
        ]


def _as_options(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def story(names: tuple[str, ...], passages: int = 24) -> str:
    """Return passages in which two of the names meet."""
    drawn = random.Random(0)
    return "\n\n".join(_passage(drawn, *drawn.sample(names, 2)) for _ in range(passages))


def _passage(drawn: random.Random, one: str, other: str) -> str:
    verb, place = drawn.choice(VERBS), drawn.choice(PLACES)
    return (
        f'In the morning {one} {verb} with {other} {place}. "Where is {other}?" asked {one}. Then the people saw that'
        f" {other} {verb} {place}."
    )


def write_tiny_task(
    folder: Path,
    model: Callable[..., "LlamaForCausalLM"],
    tokenizer: Callable[[int, list[str]], "PreTrainedTokenizerFast"],
) -> TinyTask:
    """Write the task's files."""
    task = TinyTask(model=folder / "model", forget=folder / "forget.txt", retain=folder / "retain.txt")
    task.forget.write_text(story(NAMES))
    task.retain.write_text(story(PEOPLE))
    model(0).save_pretrained(task.model)
    tokenizer(300, [story(NAMES), story(PEOPLE)]).save_pretrained(task.model)
    return task
