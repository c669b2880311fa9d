"""Training of some weights alone: the others are frozen, and an adapter sits on the chosen ones and nowhere else."""

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from tasks.algorithms.models.layers import mlp_parameter_names
from tasks.artifacts import BadInputError, Localisation
from tasks.settings.training import LoraConfig


def train_only(model: nn.Module, names: Sequence[str], lora: LoraConfig) -> LoraConfig:
    """Freeze all parameters of `model` but those of these names; return which layers get an adapter: the same."""
    chosen = {*names}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in chosen)
    return replace(lora, targets=tuple(name.removesuffix(".weight") for name in names if name.endswith(".weight")))


def train_localised(model: nn.Module, localisation: Localisation | None, lora: LoraConfig) -> LoraConfig:
    """Freeze all parameters of `model` but those of the named MLPs, where some are named; return which layers get an
    adapter.

    Raises:
        BadInputError: If the model's MLPs cannot be found.
    """
    if localisation is None:
        return lora
    try:
        return train_only(model, mlp_parameter_names(model, localisation.layers), lora)
    except ValueError as error:
        raise BadInputError(str(error)) from None
