"""Whether the neurons chosen for facts carry them: P(object) with these at zero, against as many others of the
layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from tasks.algorithms.editing.neurons import ablate
from tasks.algorithms.editing.prompts import EditPrompt
from tasks.algorithms.measuring.metrics import cluster_bootstrap
from tasks.algorithms.models.architectures import is_transposed, mlp_output, mlp_weight
from tasks.settings.neurons import NeuronConfig


@dataclass(frozen=True, kw_only=True)
class Ablated:
    """P(object) of one fact, means over its prompts."""

    neurons: int
    """How many were set to zero."""
    untouched: float
    chosen: float
    """With the chosen neurons at zero."""
    others: float
    """With as many others at zero, the mean over draws."""


@dataclass(frozen=True, kw_only=True)
class Drop:
    """How much lower P(object) is, mean over facts, and the 95 % interval over them."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class AblationEffect:
    """What ablation shows over many facts."""

    facts: int
    chosen: Drop
    others: Drop

    @property
    def ratio(self) -> float:
        """How many times as much the chosen ones lower P; infinite where the others do not lower it."""
        if self.others.mean > 0:
            return self.chosen.mean / self.others.mean
        return float("inf") if self.chosen.mean > 0 else 0.0

    @property
    def apart(self) -> bool:
        """Whether the interval of the chosen ones lies above that of the others."""
        return self.chosen.low > self.others.high


def ablate_fact(
    model: nn.Module,
    prompts: Sequence[EditPrompt],
    layer: int,
    chosen: Sequence[int],
    config: NeuronConfig,
    generator: torch.Generator,
) -> Ablated:
    """Set a fact's neurons to zero, and as many others, drawn several times; all in one batch.

    Args:
        model: A causal language model of a known type, in evaluation mode.
        prompts: The fact in one or more wordings, each with its object; others than those that the neurons were chosen
            by are the harder test.
        layer: The neurons' layer.
        chosen: Neurons by number.
        config: `draws` and `tokens`.
        generator: Of the draws; facts that share one are measured against different neurons.
    """
    inner = _inner_size(model, layer)
    others = other_neurons(chosen, inner, config.draws, generator)
    means = ablate(model, prompts, layer, [(), tuple(chosen), *others], config.tokens).double().mean(dim=1)
    return Ablated(
        neurons=len(chosen), untouched=means[0].item(), chosen=means[1].item(), others=means[2:].mean().item()
    )


def other_neurons(chosen: Sequence[int], inner: int, draws: int, generator: torch.Generator) -> list[tuple[int, ...]]:
    """Return `draws` sets of as many neurons of the layer that were not chosen, each drawn without replacement.

    Raises:
        ValueError: If the layer has not as many others.
    """
    others = torch.tensor([number for number in range(inner) if number not in set(chosen)])
    if len(others) < len(chosen):
        raise ValueError(f"{len(chosen)} of {inner} neurons are chosen; wanted as many others")
    return [
        tuple(others[torch.randperm(len(others), generator=generator)[: len(chosen)]].tolist()) for _ in range(draws)
    ]


def ablation_effect(facts: Sequence[Ablated], seed: int = 0) -> AblationEffect:
    """Return the mean drops over facts, with intervals.

    Raises:
        ValueError: If there is no fact.
    """
    if not facts:
        raise ValueError("there are no facts whose neurons were set to zero; wanted at least one")
    return AblationEffect(
        facts=len(facts),
        chosen=_drop([fact.untouched - fact.chosen for fact in facts], seed),
        others=_drop([fact.untouched - fact.others for fact in facts], seed),
    )


def _drop(values: Sequence[float], seed: int) -> Drop:
    """Return a mean and its bootstrap interval; of one fact there is none."""
    low = high = float("nan")
    if len(values) > 1:
        low, high = cluster_bootstrap(np.array(values), [str(place) for place in range(len(values))], seed=seed)
    return Drop(mean=float(np.mean(values)), low=low, high=high)


def _inner_size(model: nn.Module, layer: int) -> int:
    """Return how many neurons a layer's MLP has."""
    weight, matrix = mlp_weight(model, layer), mlp_output(model, layer)
    return weight.shape[0] if is_transposed(matrix) else weight.shape[1]
