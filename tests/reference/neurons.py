"""Neurons restated in float64: one prompt and one factor at a time, whole passes, the midpoint rule with very many
points (METHODS, section 2; arXiv:2104.08696).
"""

import math

import torch
from torch import Tensor, nn

from tasks.algorithms.editing.prompts import EditPrompt
from tasks.algorithms.models.architectures import mlp_output


def probability(model: nn.Module, prompt: EditPrompt, layer: int, factor: Tensor, places: range) -> Tensor:
    """Return P(object) with the layer's activations at some tokens times a factor for each neuron."""

    def scale(module: nn.Module, given: tuple) -> tuple:
        states = given[0].reshape(len(prompt.ids), -1)
        scaled = [state * factor if place in places else state for place, state in enumerate(states)]
        return (torch.stack(scaled).reshape(given[0].shape),)

    handle = mlp_output(model, layer).register_forward_pre_hook(scale)
    logits = model(input_ids=torch.tensor([prompt.ids])).logits[0]
    handle.remove()
    nats = sum(
        logits[place - 1].log_softmax(-1)[prompt.ids[place]] for place in range(prompt.target_start, len(prompt.ids))
    )
    return nats.exp()


def attribution(model: nn.Module, prompt: EditPrompt, layer: int, inner: int, places: range, points: int) -> Tensor:
    """Return each neuron's share: d P / d factor_i, the mean over midpoints of the way from 0 to 1, since a factor's
    derivative is the activation times its gradient.
    """
    total = torch.zeros(inner, dtype=torch.float64)
    for point in range(points):
        factor = torch.full((inner,), (point + 0.5) / points, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(probability(model, prompt, layer, factor, places), factor)
        total += gradient / points
    return total


def pearson(left: list[float], right: list[float]) -> float:
    """Return the correlation of two lists; 0 where one does not vary."""
    mean_left, mean_right = math.fsum(left) / len(left), math.fsum(right) / len(right)
    a, b = [x - mean_left for x in left], [x - mean_right for x in right]
    lengths = math.sqrt(math.fsum(x * x for x in a) * math.fsum(x * x for x in b))
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths > 1e-12 else 0.0
