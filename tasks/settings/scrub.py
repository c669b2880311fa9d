"""Settings of SCRUB's loss, training and rewind; torch is not imported here.

Source: Kurmanji et al. 2023, arXiv:2302.09880 (the original: alternating max- and min-steps, temperature, rewind), and
its language-model form: one joint loss with alpha + beta = 1, trained on GPT-2 with WinoBias Type 1.
"""

import math
from typing import ClassVar, Literal

from tasks.settings.objectives.protocol import ObjectiveSettings
from tasks.settings.schema import check_choices, settings
from tasks.settings.training import GuardMode, Schedule, Teacher, TrainingConfig


@settings
class ScrubConfig(ObjectiveSettings):
    """The loss of SCRUB."""

    paper: ClassVar[str] = "arXiv:2302.09880"

    form: Literal["language_model", "original"] = "language_model"
    """`language_model`: retain and forget terms in every step; `original`: max-steps on forget text, min-steps on
    retain text."""
    alpha: float = 0.5
    """Weight of the divergence from the teacher on retain text, dimensionless, >= 0."""
    beta: float = 0.5
    """Weight of the divergence from the teacher on forget text, which is driven up, > 0; alpha + beta = 1 in form
    `language_model`."""
    gamma: float = 0.0
    """Weight of the cross-entropy on retain text in the min-steps, dimensionless, >= 0; 0 in form `language_model`."""
    temperature: float = 1.0
    """T: both distributions are softened by it and divergences multiplied by T^2, > 0."""
    positions: Literal["all", "differing"] = "all"
    """`all` supervised positions, or `differing`: those whose token differs between a forget text and the retain text
    aligned with it."""
    bound: float | None = 5.0
    """Nats at which each forget token's divergence is clipped, > 0: beyond it a token is driven no further. None:
    unbounded, as published."""
    # a model that never learned the forget text is as sure of plain grammar as any, and far away at names; driven all
    # alike, TOFU's words of grammar went, and answers on what was forgotten looped
    surprisal_share: float = 0.0
    """Where above 0, a forget token is driven as far as a model without the forget text would be, and drawn back from
    beyond: to this share of its surprisal by the trigrams of the retain text, in nats, `bound` at most. So what the
    retain text tells anyway is left; where there is little of it, all is surprising."""
    # driven away alone, the mass of many forget tokens was seen to gather on one word of no meaning, and answers looped
    expected_weight: float = 0.0
    """Weight of the cross-entropy of forget tokens under what the retain text's trigrams expect in their place, >= 0:
    what is driven away from the target model's word goes there, as in a model that knows the retain text alone."""
    max_epochs: int = 5
    """m, form `original` only: epochs that begin with max-steps; all further ones hold min-steps only, >= 1."""

    def __post_init__(self) -> None:
        check_choices(self, "scrub")
        for name in ("alpha", "gamma", "surprisal_share", "expected_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"scrub.{name} is {getattr(self, name)}; wanted a number >= 0")
        if not 0 < self.beta < math.inf:
            raise ValueError(f"scrub.beta is {self.beta}; wanted a number > 0: without it nothing is forgotten")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"scrub.temperature is {self.temperature}; wanted a number > 0")
        if self.bound is not None and not 0 < self.bound < math.inf:
            raise ValueError(
                f"scrub.bound is {self.bound}; wanted a number of nats > 0, or none for unbounded max-steps"
            )
        if self.max_epochs < 1:
            raise ValueError(f"scrub.max_epochs is {self.max_epochs}; wanted a whole number >= 1")
        if self.form == "language_model":
            self._check_joint_weights()

    def _check_joint_weights(self) -> None:
        if abs(self.alpha + self.beta - 1) > 1e-9:
            raise ValueError(
                f"scrub.alpha + scrub.beta is {self.alpha} + {self.beta} = {self.alpha + self.beta:g}; wanted 1 in form"
                " language_model"
            )
        if self.gamma:
            raise ValueError(
                f"scrub.gamma is {self.gamma}; wanted 0 in form language_model, which has no cross-entropy (form"
                " original has)"
            )

    @property
    def needs(self) -> frozenset[str]:
        """Retain text, and the teacher's states on both sides."""
        return frozenset({"reference_hidden", "forget_hidden", "retain"})

    @property
    def max_step(self) -> str:
        """Whether the ascent on forget text is bounded, in words for the report."""
        most = "" if self.bound is None else f"{self.bound:g} nats"
        if self.surprisal_share:
            share = f"{self.surprisal_share:g} of its surprisal in the retain text" + (most and f", {most} at most")
            return f"bounded: each forget token's divergence is driven to {share}, and drawn back beyond"
        if not most:
            return "unbounded: the divergence on forget text may grow without end"
        return f"bounded: each forget token's divergence is clipped at {most}"


@settings
class ScrubTrainingConfig(TrainingConfig):
    """How SCRUB is trained; a block is one sequence of each set."""

    rate_exponent: float = 0.75
    """The rule is rate_at_7b * (7e9 / N) ** rate_exponent."""
    epochs: int = 10
    """Passes over the forget and the retain set, >= 1."""
    batch_blocks: int = 36
    """Sequences of each set in one forward pass, >= 1; the source work's 36."""
    block_size: int = 256
    """Tokens of a sequence at most, >= 16; longer records become several."""
    schedule: Schedule = "exponential"
    """Course of the learning rate after warm-up. The source work has an exponential decay whose constant is not known
    here: `final_rate_share` stands for it."""
    guard: GuardMode = "steer"
    """`steer` lets the student answer a few prompts now and then, and training ends at the last checkpoint that does
    not say nothing, loop or recite strangers; `watch` logs what is found, no more, as `steer` does too in form
    `original`, whose min-steps mend; `off`."""
    teacher: Teacher = "cached"
    """`cached`: what the frozen model says is computed once; `live`: it is asked in every step, to the same numbers."""
    looks: int = 10
    """How often the guard looks, evenly over the run, >= 1; unless `validate_every` says after how many steps."""

    def __post_init__(self) -> None:
        check_choices(self, "training")
        super().__post_init__()
        if self.courses > 1:
            raise ValueError(f"training.courses is {self.courses}; wanted 1: SCRUB's steps have an order of their own")
        if self.looks < 1:
            raise ValueError(f"training.looks is {self.looks}; wanted a whole number >= 1")
        if self.block_size < 16:
            raise ValueError(f"training.block_size is {self.block_size}; wanted a whole number >= 16")


@settings
class RewindConfig:
    """Which checkpoint is taken in the end."""

    enabled: bool = False
    """Take the checkpoint whose forget error is nearest to the error on held-out text; else the last one."""
    every_epochs: int = 1
    """Epochs between checkpoints that can be gone back to, >= 1."""
    window: int = 256
    """Tokens of a scored window of prose, >= 16."""
    max_tokens: int = 50_000
    """Tokens of prose scored in a split at most, >= 1."""

    def __post_init__(self) -> None:
        for name, least in {"every_epochs": 1, "window": 16, "max_tokens": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"rewind.{name} is {getattr(self, name)}; wanted a whole number >= {least}")
