"""Negative preference optimisation: the forget rows are answers that nobody prefers.

    loss = mean over rows of  -(2 / b) log sigmoid(-b r),   r = log p_student(F) - log p_target(F)     (+ lambda * retain term)

with log p the sum over a row's counted tokens. At r = 0 it is (2 / b) log 2; its gradient is that of ascent, damped by
2 sigmoid(b r): it fades as the student leaves the target behind, and tends to plain ascent as b -> 0. Bounded below by 0.

Source: Zhang, Lin, Bai & Mei 2024, arXiv:2404.05868, equation of NPO; b = 0.1. Deviation: none. The target model is one cached
number a row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from tasks.algorithms.objectives import terms


@dataclass(frozen=True, kw_only=True)
class NPOConfig(terms.RetainTermConfig):
    """Constants of NPO."""

    b: float = 0.1
    """Inverse temperature, dimensionless, > 0; small values come near to gradient ascent."""

    def __post_init__(self) -> None:
        super().__post_init__()
        terms.check_number("b", self.b, self.b > 0, "a number > 0")


class NPO:
    """Push the log-probability of forget rows below the target model's, ever more gently."""

    config_type = NPOConfig
    paper = "arXiv:2404.05868"
    weighs_rows = True

    def __init__(self, config: NPOConfig) -> None:
        self.config = config

    @property
    def needs(self) -> frozenset[str]:
        """The target's log-probabilities, and what the retain term needs."""
        return frozenset({"reference_logprobs"}) | terms.retain_needs(self.config)

    def loss(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum of both terms, in nats, and each alone.

        Args:
            student: The model that is trained.
            batch: `ids`, `mask`, `supervised` of forget rows and, with retain text, `retain_ids` and so on, (batch, seq).
            cached: `reference_logprob`, (batch,): the target's sum over each forget row; and what `terms.retain_term` takes.
        """
        ratio = terms.sequence_logprobs(student, batch) - terms.cached_logprobs(cached, "reference_logprob", len(batch["ids"]))
        forget = -2.0 / self.config.b * functional.logsigmoid(-self.config.b * ratio).mean()
        return terms.with_retain_term(forget, self.config, student, batch, cached)
