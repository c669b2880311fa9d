"""Settings of low-rank adapters, shared by every method that trains; torch is not imported here."""

import math
from dataclasses import dataclass

OUTPUTS = ("merged", "adapter")
"""What a trained adapter becomes: part of the weights of a plain model, or a folder of its own that names its base."""


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Low-rank adapters (Hu et al. 2021, arXiv:2106.09685) in place of whole weights: W x becomes W x + (alpha / rank) B A x, W frozen."""

    rank: int = 0
    """Rank of every update, at most the smaller side of the smallest layer; 0 trains whole weights."""
    lora_alpha: float = 0.0
    """Numerator of the update's scale alpha / rank, >= 0, under peft's name; `alpha` alone is that of the labels. 0: twice the rank, so that
    the scale is 2 whatever the rank."""
    rate_factor: float = 10.0
    """Learning rate of adapters over that of whole weights, set or by rule, > 0. At 10 and rank 4 a small model learns a new text in as many
    steps as with whole weights (measured, see the tests); at higher ranks, 3 does."""
    output: str = "merged"
    """`merged`: a plain model that any tool loads; `adapter`: the adapter alone, which is taken off by loading its base without it."""
    targets: tuple[str, ...] = ()
    """Names of the linear layers that get an adapter, such as q_proj, or model.layers.0.self_attn.q_proj; none: all of attention and MLP."""

    def __post_init__(self) -> None:
        if self.rank < 0:
            raise ValueError(f"lora.rank is {self.rank}; wanted a whole number >= 0")
        if not 0 <= self.lora_alpha < math.inf:
            raise ValueError(f"lora.lora_alpha is {self.lora_alpha}; wanted a number >= 0")
        if not 0 < self.rate_factor < math.inf:
            raise ValueError(f"lora.rate_factor is {self.rate_factor}; wanted a number > 0")
        if self.output not in OUTPUTS:
            raise ValueError(f"lora.output is {self.output!r}; wanted one of {', '.join(OUTPUTS)}")

    @property
    def numerator(self) -> float:
        """The alpha that counts: the one that is set, else the rule's."""
        return self.lora_alpha or 2.0 * self.rank
