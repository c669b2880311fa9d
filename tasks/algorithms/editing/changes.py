"""What an edit does to a model's weights, whatever method made it: it is added in place, or held for a while and taken
back to the bit.

    with edited(model, changes):
        ...                                          # W'
    ...                                              # W: the very tensors, not W' - change
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn


@runtime_checkable
class Change(Protocol):
    """A change of weights; `Update` of a low rank is one, `WeightChange` another."""

    def apply(self, model: nn.Module) -> None:
        """Add the change to a model's weights in place."""

    def weights(self, model: nn.Module) -> list[nn.Parameter]:
        """Return the parameters that it is added to."""

    @property
    def norm(self) -> float:
        """Frobenius norm of all that is added."""


@dataclass(frozen=True, kw_only=True)
class WeightChange:
    """W' = W + change of some parameters, of any rank."""

    added: Mapping[str, Tensor]
    """Name of a parameter -> what is added, as it is stored."""

    def apply(self, model: nn.Module) -> None:
        """Add the change to a model's weights in place."""
        with torch.no_grad():
            for name, added in self.added.items():
                parameter = model.get_parameter(name)
                parameter.add_(added.to(parameter))

    def weights(self, model: nn.Module) -> list[nn.Parameter]:
        """Return the parameters that it is added to."""
        return [model.get_parameter(name) for name in self.added]

    @property
    def norm(self) -> float:
        """Frobenius norm of all that is added."""
        return sum(added.double().pow(2).sum().item() for added in self.added.values()) ** 0.5


@contextmanager
def edited(model: nn.Module, changes: Sequence[Change]) -> Iterator[nn.Module]:
    """Let a model have these changes, added in order, and put its own tensors back at the end, whatever happens.

    What else is written to those parameters meanwhile is lost too.
    """
    own = {id(weight): (weight, weight.data) for change in changes for weight in change.weights(model)}
    try:
        for weight, data in own.values():
            weight.data = data.clone()
        for change in changes:
            change.apply(model)
        yield model
    finally:
        for weight, data in own.values():
            weight.data = data


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Let gradients flow through a model, also where none are taken otherwise, but reach none of its parameters; those
    that wanted one do so again at the end.
    """
    wanting = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in wanting:
        parameter.requires_grad_(False)
    try:
        with torch.enable_grad():
            yield
    finally:
        for parameter in wanting:
            parameter.requires_grad_(True)
