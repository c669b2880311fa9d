"""Plain language modelling: the mean negative log-likelihood of the next token."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from tasks.algorithms.models.heads import apply_head, last_hidden, output_head
from tasks.algorithms.objectives.protocol import Objective


@dataclass(frozen=True, kw_only=True)
class CausalLMConfig:
    """Nothing to set: the loss has no constants."""


class CausalLM(Objective):
    """Cross-entropy of every supervised token given those before it."""

    config_type = CausalLMConfig
    needs: frozenset[str] = frozenset()

    def loss(
        self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean loss in nats over the predicted tokens of the batch.

        Args:
            student: The model that is trained.
            batch: `ids` and `mask`, (batch, seq); where not every prediction counts also `supervised`, (batch, seq): at
                which positions it does.
            cached: Not used.
        """
        ids, mask = batch["ids"], batch["mask"]
        counted = (batch.get("supervised", mask)[:, :-1] * mask[:, 1:]).bool()
        rows = last_hidden(student, ids, mask)[:, :-1][counted]
        loss_nats = functional.cross_entropy(apply_head(output_head(student), rows), ids[:, 1:][counted])
        return loss_nats, {}
