"""Training restated: AdamW (Loshchilov & Hutter, arXiv:1711.05101), warm-up, decay and clipping, in plain numpy
float64.
"""

import math
from collections.abc import Callable

import numpy as np


def learning_rate_factor(
    step: int, steps: int, warmup_share: float, schedule: str, final_rate_share: float = 0.01
) -> float:
    """Factor of step `step` (from 0): a straight rise over the warm-up, at least one step; then the schedule."""
    warmup = max(1, round(warmup_share * steps))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / (steps - warmup)
    exponential = math.exp(done * math.log(final_rate_share))
    return {
        "constant": 1.0,
        "linear": 1 - done,
        "cosine": (1 + math.cos(math.pi * done)) / 2,
        "exponential": exponential,
    }[schedule]


def clipped(gradient: np.ndarray, clip_norm: float) -> np.ndarray:
    """The gradient, scaled down to `clip_norm` where it is longer; 0 leaves it (1e-6 as PyTorch has it)."""
    norm = math.sqrt(float((gradient**2).sum()))
    return gradient * min(1.0, clip_norm / (norm + 1e-6)) if clip_norm else gradient


def adamw_run(
    weights: np.ndarray,
    gradient_of: Callable[[np.ndarray, int], np.ndarray],
    *,
    steps: int,
    learning_rate: float,
    beta2: float = 0.999,
    weight_decay: float = 0.0,
    clip_norm: float = 1.0,
    warmup_share: float = 0.0,
    schedule: str = "linear",
    final_rate_share: float = 0.01,
) -> np.ndarray:
    """Return the weights after `steps` steps; `gradient_of(weights, step)` counts steps from 0."""
    beta1, epsilon = 0.9, 1e-8
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(steps):
        rate = learning_rate * learning_rate_factor(step, steps, warmup_share, schedule, final_rate_share)
        gradient = clipped(gradient_of(weights, step), clip_norm)
        first = beta1 * first + (1 - beta1) * gradient
        second = beta2 * second + (1 - beta2) * gradient**2
        unbiased_first, unbiased_second = first / (1 - beta1 ** (step + 1)), second / (1 - beta2 ** (step + 1))
        weights = weights - rate * weight_decay * weights - rate * unbiased_first / (np.sqrt(unbiased_second) + epsilon)
    return weights
