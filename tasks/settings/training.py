"""Settings of training, whatever is trained: the loop, adapters in place of weights, guard and teacher."""

import math
from collections.abc import Callable
from dataclasses import field
from typing import Literal

from tasks.settings.schema import check_choices, settings

Schedule = Literal["constant", "linear", "cosine", "exponential"]
SCHEDULES: dict[Schedule, Callable[[float, float], float]] = {
    "constant": lambda share, final: 1.0,
    "linear": lambda share, final: 1.0 - share,
    "cosine": lambda share, final: 0.5 * (1.0 + math.cos(math.pi * share)),
    "exponential": lambda share, final: final**share,
}
"""Share of the steps after warm-up that is done, `final_rate_share` -> factor on the learning rate."""
Precision = Literal["auto", "no", "bf16", "fp16"]
GuardMode = Literal["steer", "watch", "off"]
"""What the guard may do while a model trains: refuse unhealthy checkpoints, only log what it finds, nothing."""
Teacher = Literal["cached", "live"]
"""What the frozen model says comes from a file made beforehand, or from the model itself, batch by batch."""


@settings
class TrainingConfig:
    """How a model is trained, whatever the objective."""

    learning_rate: float | None = None
    """Peak learning rate of AdamW, > 0; none: by the rule of the next two fields from the number of parameters N."""
    rate_at_7b: float = 3e-6
    """The rule's learning rate for seven billion parameters: the paper's value."""
    rate_exponent: float = 0.6
    """The rule is rate_at_7b * (7e9 / N) ** rate_exponent."""
    epochs: int = 3
    """Passes over the data, >= 1."""
    least_steps: int = 0
    """Optimiser steps that are taken at least, in further passes where the data are few; >= 0."""
    courses: int = 1
    """How often the learning rate may run its course, each time over as many steps, >= 1: another one begins while a
    validation finds more left than is wanted and less lost than is allowed, and the last one helped."""
    batch_blocks: int = 8
    """Blocks in one forward pass, >= 1."""
    accumulation: int = 1
    """Forward passes in one optimiser step, >= 1."""
    schedule: Schedule = "linear"
    """Course of the learning rate after warm-up."""
    final_rate_share: float = 0.01
    """What an exponential decay leaves of the peak at the end, above 0 to 1; the other courses do not read it."""
    warmup_share: float = 0.05
    """Share of the steps in which the learning rate rises, 0 to 1."""
    weight_decay: float = 0.0
    """Decoupled weight decay, >= 0."""
    beta2: float = 0.999
    """Decay of AdamW's second moment, 0 to 1."""
    clip_norm: float = 1.0
    """Gradient norm above which gradients are scaled down; 0 switches it off."""
    sharpness: float = 0.0
    """rho >= 0, in the unit of the weights: the forget term is minimised at the worst weights within that distance, so
    that what is forgotten does not come back at the first step; 0: at the weights themselves."""
    mixed_precision: Precision = "auto"
    """`no`, `bf16`, `fp16`, or `auto`: bf16 where the hardware multiplies it natively."""
    validate_every: int = 0
    """Optimiser steps between validations; 0 validates at the end of each epoch."""
    patience: int = 3
    """Validations without improvement after which training stops, >= 1."""
    # given up, training has no result; all others are the same without
    stop_below: float | None = field(default=None, metadata={"keyed": False})
    """Share of the target model's retain probability, 0 to 1, below which a validation that measures it gives training
    up. None: in a sweep its floor, else never."""
    seed: int = 0
    """Order of the blocks."""

    def __post_init__(self) -> None:
        check_choices(self)
        for name in ("epochs", "courses", "batch_blocks", "accumulation", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; wanted a whole number >= 1")
        for name in ("learning_rate", "rate_at_7b"):
            if getattr(self, name) is not None and not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; wanted a number > 0")
        for name in ("least_steps", "weight_decay", "clip_norm", "sharpness", "validate_every"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; wanted a number >= 0")
        if self.stop_below is not None and not 0 <= self.stop_below <= 1:
            raise ValueError(f"stop_below is {self.stop_below}; wanted a number from 0 to 1, or none")
        if not 0 <= self.beta2 < 1:
            raise ValueError(f"beta2 is {self.beta2}; wanted a number from 0 to 1, less than 1")
        if not 0 < self.final_rate_share <= 1:
            raise ValueError(f"final_rate_share is {self.final_rate_share}; wanted a number above 0, 1 at most")
        if not 0 <= self.warmup_share <= 1:
            raise ValueError(f"warmup_share is {self.warmup_share}; wanted a number from 0 to 1")


@settings
class PretrainingConfig(TrainingConfig):
    """How the embedded model is trained from scratch: a Llama of about a million parameters in two minutes
    on one core.
    """

    learning_rate: float | None = 4e-3
    """Peak learning rate of AdamW, > 0."""
    epochs: int = 22
    """Passes over the world's text, each packed anew, >= 1."""
    mixed_precision: Precision = "no"
    """float32: at this size bfloat16 saves nothing on a CPU."""
    batch_blocks: int = 16
    """Blocks in one forward pass, >= 1."""
    schedule: Schedule = "cosine"
    """Course of the learning rate after warm-up."""
    weight_decay: float = 0.1
    """Decoupled weight decay, >= 0."""
    beta2: float = 0.95
    """Decay of AdamW's second moment."""
    vocabulary: int = 1024
    """Entries of the byte-level BPE, > 256."""
    hidden: int = 128
    """Width; a multiple of `heads`."""
    layers: int = 4
    """Depth, >= 1."""
    heads: int = 4
    """Attention heads, >= 1."""
    intermediate: int = 384
    """Width inside the MLP, >= 1."""
    context: int = 512
    """Positions, >= `block_size`."""
    block_size: int = 128
    """Tokens of a training block, >= 16."""
    least_probability: float = 0.55
    """Mean probability that the target model must reach on the questions of every split, 0 to 1; below it the stage
    fails."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vocabulary <= 256:
            raise ValueError(f"vocabulary is {self.vocabulary}; wanted more than 256, one entry for each byte")
        if self.hidden % self.heads:
            raise ValueError(f"hidden is {self.hidden}; wanted a multiple of heads, {self.heads}")


@settings
class LoraConfig:
    """Low-rank adapters (Hu et al. 2021, arXiv:2106.09685) in place of whole weights: W x becomes W x + (alpha / rank)
    B A x, W frozen.
    """

    rank: int = 0
    """Rank of every update, at most the smaller side of the smallest layer; 0 trains whole weights."""
    lora_alpha: float = 0.0
    """Numerator of the update's scale alpha / rank, >= 0, under peft's name; `alpha` alone is that of the labels. 0:
    twice the rank, so that the scale is 2 whatever the rank."""
    rate_factor: float = 10.0
    """Learning rate of adapters over that of whole weights, set or by rule, > 0. At 10 and rank 4 a small model learns
    a new text in as many steps as with whole weights (measured, see the tests); at higher ranks, 3 does."""
    output: Literal["merged", "adapter"] = "merged"
    """`merged`: a plain model that any tool loads; `adapter`: the adapter alone, which is taken off by loading its base
    without it."""
    targets: tuple[str, ...] = ()
    """Names of the linear layers that get an adapter, such as q_proj, or model.layers.0.self_attn.q_proj; none: all of
    attention and MLP."""

    def __post_init__(self) -> None:
        check_choices(self, "lora")
        if self.rank < 0:
            raise ValueError(f"lora.rank is {self.rank}; wanted a whole number >= 0")
        if not 0 <= self.lora_alpha < math.inf:
            raise ValueError(f"lora.lora_alpha is {self.lora_alpha}; wanted a number >= 0")
        if not 0 < self.rate_factor < math.inf:
            raise ValueError(f"lora.rate_factor is {self.rate_factor}; wanted a number > 0")

    @property
    def numerator(self) -> float:
        """The alpha that counts: the one that is set, else the rule's."""
        return self.lora_alpha or 2.0 * self.rank


def peak_learning_rate(config: TrainingConfig, parameters: int) -> float:
    """Return the config's learning rate, or the rule's for a model of `parameters` weights: higher for
    smaller models.
    """
    if config.learning_rate is not None:
        return config.learning_rate
    return config.rate_at_7b * (7e9 / parameters) ** config.rate_exponent
