"""What training asks of a loss; the loop reads `loss`, the stage that trains an objective all of it.

The other half, what flows ask of the settings that a loss is made from, is `tasks.settings.objectives.protocol`.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class Objective(Protocol):
    """What is minimised, made from its settings.

    An objective subclasses this: of what it does not say, the value given here holds.
    """

    config_type: ClassVar[type[Any]]
    """Class of its settings. There is no default: every objective has one."""
    weighs_rows: ClassVar[bool] = False
    """Whether the loss is a mean over rows, by which batches then weigh in an optimiser step; else over tokens."""
    config: Any
    """Its settings, an instance of `config_type`."""

    def __init__(self, config: Any = None) -> None:
        """Take the settings; none: their defaults."""
        self.config = self.config_type() if config is None else config

    @property
    def needs(self) -> frozenset[str]:
        """Names out of `tasks.settings.objectives.protocol.NEEDS`: what `loss` reads beside the forget rows."""
        return self.config.needs

    def layer(self, model: nn.Module) -> int | None:
        """Return the layer of this model, counted from 0, after which hidden states are compared; none: the loss
        compares none.
        """
        return None

    def trainable(self, model: nn.Module) -> list[str] | None:
        """Return the names of the parameters that are to be trained, the others are to be frozen; none: all are
        trained.
        """
        return None

    @abstractmethod
    def loss(
        self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the scalar that is minimised, in nats unless the objective says otherwise, and what else is worth a
        curve, detached scalars.

        Args:
            student: The model that is trained.
            batch: `ids`, `mask`, `supervised` of forget rows, (batch, seq), and the same of further rows with a prefix,
                as `needs` says.
            cached: Outputs of frozen models for the batch, as `needs` says.
        """
