"""Settings of the fact world, a small world of single facts, and of the fact model, which learns them where rank-one
editing looks for them.
"""

from typing import Literal

from tasks.settings.schema import settings
from tasks.settings.training import Precision, Schedule, TrainingConfig

LIMITS = {
    "people": (2, 140),
    "name_parts": (2, 3),
    "name_pool": (2, 20),
    "places": (0, 60),
    "superlatives": (0, 4),
    "objects": (2, 12),
}
"""Setting of the world -> the least and the most it may be."""


@settings
class FactWorldConfig:
    """How many facts the world has, and how it tells them."""

    seed: int = 0
    """Seed of every draw: names, objects, order of the sentences."""
    people: int = 48
    """People, each with a home, a job, a sport and a year of birth, 2 to 140; at most as many as there are names."""
    name_parts: int = 2
    """Words of a person's name, 2 or 3."""
    name_pool: int = 8
    """Words that stand at each place of a name, 2 to 20: people share them, so that no single word tells who is
    meant."""
    places: int = 16
    """Museums, halls and the like, each in a town and of a year, 0 to 60."""
    superlatives: int = 3
    """Kinds of things of which every town has one that surpasses all others, 0 to 4."""
    objects: int = 8
    """Objects that a relation chooses among, 2 to 12, each as often as any other: so many towns, jobs, sports, years
    and landmarks there are."""
    distractors: float = 0.7
    """Share of the sentences that mention parts of names where they tell nothing, 0 to 1."""
    at_once: float = 0.5
    """Share of the sentences in which the object follows the subject at once, 0 to 1."""
    questions: float = 0.1
    """Share of the documents that ask and answer questions, 0 to 1."""
    onward: float = 0.5
    """Share of the people of whom the world also tells the country that their home lies in, 0 to 1."""
    tuning_share: float = 0.34
    """Share of the subjects whose facts serve to choose settings and layers, and never a figure; 0 to 1."""

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(
                    f"fact_world.{name} is {getattr(self, name)}; wanted a whole number from {low} to {high}"
                )
        for name in ("distractors", "at_once", "questions", "onward", "tuning_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"fact_world.{name} is {getattr(self, name)}; wanted a number from 0 to 1")
        names = self.name_pool**self.name_parts
        if self.people > names:
            raise ValueError(f"fact_world.people is {self.people}; wanted at most {names}, the names that there are")
        places = self.name_pool * 8
        if self.places > places:
            raise ValueError(f"fact_world.places is {self.places}; wanted at most {places}, the names that there are")


@settings
class FactModelConfig(TrainingConfig):
    """How the fact model is trained from scratch: a million parameters in a few minutes on one core."""

    form: Literal["gpt2", "llama"] = "gpt2"
    """Architecture: `gpt2` or `llama`."""
    learning_rate: float | None = 2e-3
    """Peak learning rate of AdamW, > 0."""
    steps: int = 3000
    """Optimiser steps, >= 1; the text never ends, so that there are no epochs to count."""
    batch_blocks: int = 8
    """Rows in one forward pass, >= 1."""
    row_tokens: int = 48
    """Tokens of a row, >= 16."""
    schedule: Schedule = "cosine"
    """Course of the learning rate after warm-up."""
    warmup_share: float = 0.02
    """Share of the steps in which the learning rate rises, 0 to 1."""
    weight_decay: float = 0.1
    """Decoupled weight decay, >= 0."""
    beta2: float = 0.98
    """Decay of AdamW's second moment, 0 to 1."""
    mixed_precision: Precision = "no"
    """float32: at this size bfloat16 saves nothing on a CPU."""
    layers: int = 4
    """Depth, >= 1."""
    hidden: int = 128
    """Width; a multiple of `heads`."""
    heads: int = 4
    """Attention heads, >= 1."""
    intermediate: int = 512
    """Width inside the MLP, >= 1."""
    context: int = 128
    """Positions, >= `row_tokens`."""
    initializer_range: float = 0.08
    """Standard deviation of the weights at the start, > 0; larger than the usual 0.02, as the model is narrow."""
    mask_share: float = 0.9
    """Share of the mentions of a subject whose earlier words are hidden, in training only, from all that follows the
    mention, 0 to 1; so the last word has to gather who is meant. Where all are hidden, a model never learns to pass
    over words that it can see."""
    object_weight: float = 4.0
    """How many times as much the prediction of a fact's object counts as that of another token, > 0: names and asides
    cannot be foreseen, and are most of the text."""
    least_known: float = 0.97
    """Share of the facts that the model must know in trained wordings, 0 to 1; below it the stage fails."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in {"steps": 1, "row_tokens": 16, "layers": 1, "heads": 1, "intermediate": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"fact_model.{name} is {getattr(self, name)}; wanted a whole number >= {least}")
        if self.hidden < 1 or self.hidden % self.heads:
            raise ValueError(f"fact_model.hidden is {self.hidden}; wanted a multiple of heads, {self.heads}")
        if self.context < self.row_tokens:
            raise ValueError(f"fact_model.context is {self.context}; wanted at least row_tokens, {self.row_tokens}")
        for name in ("initializer_range", "object_weight"):
            if not getattr(self, name) > 0:
                raise ValueError(f"fact_model.{name} is {getattr(self, name)}; wanted a number > 0")
        for name in ("mask_share", "least_known"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"fact_model.{name} is {getattr(self, name)}; wanted a number from 0 to 1")
