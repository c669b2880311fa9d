"""Settings of SCRUB and its presets; torch is not imported here.

Source: Kurmanji et al. 2023, arXiv:2302.09880 (the original: alternating max- and min-steps, temperature, rewind), and
its language-model form: one joint loss with alpha + beta = 1, trained on GPT-2 with WinoBias Type 1.
"""

import math
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import ClassVar, Literal

from tasks.settings.evaluation import LocalisableConfig
from tasks.settings.measuring import ToxicityConfig
from tasks.settings.objectives.protocol import ObjectiveSettings
from tasks.settings.schema import check_choices, settings
from tasks.settings.training import GuardMode, Schedule, Teacher, TrainingConfig

WEIGHT_PAIRS = ((0.25, 0.75), (0.5, 0.5), (0.75, 0.25))
"""(alpha, beta) that the source work reports; what its figures are drawn over."""
SOURCE_MODEL = "openai-community/gpt2"
"""Hub name of the source work's model, `gpt2` for short."""
SOURCE_PARAMETERS = 124_439_808


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
    max_epochs: int = 5
    """m, form `original` only: epochs that begin with max-steps; all further ones hold min-steps only, >= 1."""

    def __post_init__(self) -> None:
        check_choices(self, "scrub")
        for name in ("alpha", "gamma"):
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
        if self.bound is None:
            return "unbounded: the divergence on forget text may grow without end"
        return f"bounded: each forget token's divergence is clipped at {self.bound:g} nats"


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


@settings
class ScrubUnlearningConfig(LocalisableConfig):
    """SCRUB from text to report."""

    scrub: ScrubConfig = ScrubConfig()
    """The loss."""
    training: ScrubTrainingConfig = ScrubTrainingConfig()
    """How it is trained."""
    rewind: RewindConfig = RewindConfig()
    """Which checkpoint is taken."""
    toxicity: ToxicityConfig = ToxicityConfig(scorer="auto")
    """Who rates the toxicity of completions: the source work's own measure."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scrub.form == "original" and self.training.accumulation != 1:
            raise ValueError(
                f"training.accumulation is {self.training.accumulation}; wanted 1 in form original, where a step is"
                " either a max-step or a min-step"
            )

    @property
    def rewinds(self) -> bool:
        """Whether the last checkpoint is not the one that is taken by itself."""
        return self.rewind.enabled


def scrub_preset(name: str, seed: int = 0) -> ScrubUnlearningConfig:
    """Return a preset with the given seed.

    `default` is the language-model form with bounded max-steps. `original` has alternating steps, unbounded max-steps,
    cross-entropy on retain text and rewind; its weights and temperature are round numbers, not tuned. `gpt2-winobias`
    is the source work's joint loss with its constants (alpha and beta of the middle pair of `WEIGHT_PAIRS`) and nothing
    added: its max-step is unbounded.

    Raises:
        ValueError: If there is no such preset.
    """
    if name not in SCRUB_PRESETS:
        raise ValueError(f"preset is {name!r}; wanted one of {', '.join(SCRUB_PRESETS)}")
    chosen = SCRUB_PRESETS[name]
    return replace(
        chosen,
        translation=replace(chosen.translation, seed=seed),
        training=replace(chosen.training, seed=seed),
        distillation=replace(chosen.distillation, seed=seed),
        localisation=replace(chosen.localisation, seed=seed),
    )


def weight_sweep(
    config: ScrubUnlearningConfig, pairs: Iterable[tuple[float, float]] = WEIGHT_PAIRS
) -> dict[str, ScrubUnlearningConfig]:
    """Return label -> `config` with each (alpha, beta): the runs whose figures the source work shows side by side, each
    to its end, broken or not.

    Raises:
        ValueError: If the loss is of form `original`, whose weights are no pair.
    """
    if config.scrub.form != "language_model":
        raise ValueError(
            f"scrub.form is {config.scrub.form!r}; wanted language_model: pairs of weights with alpha + beta = 1 are"
            " swept without --grid"
        )
    ends = replace(
        config,
        training=replace(config.training, guard="watch" if config.training.guard == "steer" else config.training.guard),
    )
    return {
        f"alpha {alpha:g}, beta {beta:g}": replace(ends, scrub=replace(ends.scrub, alpha=alpha, beta=beta))
        for alpha, beta in pairs
    }


def source_remark(config: ScrubUnlearningConfig, parameters: int) -> str:
    """Return how a run with the source work's loss differs from the source work; empty with another loss, or where
    nothing differs.

    Args:
        config: All settings: its loss is the source work's where, but for the weights, it is that of `gpt2-winobias`.
        parameters: Of the target model.
    """
    source = SCRUB_PRESETS["gpt2-winobias"]
    if replace(config.scrub, alpha=source.scrub.alpha, beta=source.scrub.beta) != source.scrub:
        return ""
    pairs = [
        (field.name, getattr(config.training, field.name), getattr(source.training, field.name))
        for field in fields(source.training)
    ]
    added = [f"adapters of rank {config.lora.rank} instead of all weights"] * bool(config.lora.rank)
    added += ["with a rewind"] * config.rewind.enabled
    added += ["with noise and distillation"] * bool(config.distillation.noise_alpha)
    changed = ", ".join(
        [f"{name} {ours} instead of {theirs}" for name, ours, theirs in pairs if ours != theirs and name != "seed"]
        + added
    )
    if not changed and parameters == SOURCE_PARAMETERS:
        return ""
    constants = f"its loss, and of its training all but {changed}," if changed else "its constants"
    return (
        f"The source work trained GPT-2 ({SOURCE_PARAMETERS:,} parameters); this run has {constants} on a model of"
        f" {parameters:,} parameters."
    )


SCRUB_PRESETS = {
    # lethe sweep --topic second-series --floor 0.92 --method scrub --set scrub.alpha=0.75 --set scrub.beta=0.25
    # --grid scrub.bound=1,2,3,5 --grid
    # training.epochs=10,20
    "default": ScrubUnlearningConfig(
        scrub=ScrubConfig(alpha=0.75, beta=0.25, bound=3.0), training=ScrubTrainingConfig(epochs=20)
    ),
    "original": ScrubUnlearningConfig(
        scrub=ScrubConfig(form="original", alpha=1.0, beta=1.0, gamma=1.0, temperature=2.0, bound=None),
        training=ScrubTrainingConfig(guard="watch"),
        rewind=RewindConfig(enabled=True),
    ),
    "gpt2-winobias": ScrubUnlearningConfig(
        scrub=ScrubConfig(bound=None),
        training=ScrubTrainingConfig(
            rate_exponent=0.6, epochs=50, warmup_share=0.0, weight_decay=0.01, clip_norm=0.0, guard="watch"
        ),
    ),
}
SCRUB_PRESETS["paper"] = SCRUB_PRESETS["gpt2-winobias"]
"""Name -> settings; `paper` is the name that every method has for its source's constants. `gpt2-winobias`: AdamW
(PyTorch's weight decay), exponential decay, 50 epochs, batches of 36 (11 of them in the full 396 pairs of WinoBias Type
1). Its learning rate is not known here: the rule gives 3.4e-5 at GPT-2's size."""
