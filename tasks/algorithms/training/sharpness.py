"""Sharpness-aware training: the forget term is minimised at the worst weights near by, not at the weights themselves.

    minimise  max over |e| <= rho of  forget(w + e)  +  retain(w),       |.| the Euclidean norm over all trained weights

so that what is forgotten stays so when the weights are moved a little, as relearning moves them. In exact form, a step
descends along

    g = gradient of forget at w,   e = rho g / |g|,   gradient of forget at w + e  +  gradient of retain at w

which is the inner maximum to first order and leaves out the derivative of e. It costs the forget term a second pass
forward and backward, the retain term nothing: 1.5 times a plain step where both have as many tokens, 2 times without
retain rows; and one more copy of the trained weights, and of their gradient, in memory. An objective of a single term
is minimised at its own worst weights.

Source: Foret et al. 2020, arXiv:2010.01412, its first-order form; on the forget term alone: Fan et al. 2025,
arXiv:2502.05374. Deviations: several batches of one optimiser step each have their own worst weights; a batch without
forget rows is trained on plainly.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tasks.algorithms.objectives.protocol import Objective
from tasks.algorithms.objectives.two_terms import Term, TwoTerms

if TYPE_CHECKING:
    from tasks.algorithms.training.loop import Batch

Autocast = Callable[[], AbstractContextManager[None]]


def backward_at_worst(
    student: nn.Module,
    trained: Sequence[nn.Parameter],
    batch: "Batch",
    objective: Objective,
    radius: float,
    *,
    autocast: Autocast,
    backward: Callable[[Tensor], None],
    scaled: Callable[[Tensor], Tensor] = lambda loss: loss,
) -> Term:
    """Add the gradient of one batch to the trained weights' own, and return the loss that it is of, detached, and the
    metrics.

    Args:
        student: The model that is trained; its weights are the same afterwards, to the bit.
        trained: Its trained weights.
        batch: Forget rows, and retain rows where there are any.
        objective: What is minimised.
        radius: rho, in the unit of the weights, > 0.
        autocast: Makes the context of a forward pass.
        backward: Adds the gradient of a scalar to the weights' own.
        scaled: Makes a loss large enough for the number type of its gradient; the direction does not depend on it.
    """
    inputs = (student, batch.tensors, batch.cached)
    held: Term | None = None
    if "ids" not in batch.tensors:
        with autocast():
            loss, metrics = objective.loss(*inputs)
        backward(loss)
        return loss.detach(), metrics
    if isinstance(objective, TwoTerms):
        term = objective.forget_term
        with autocast():
            held = objective.retain_term(*inputs)
    else:
        term = objective.loss
    if held is not None:
        backward(held[0])
    with autocast():
        plain, metrics = term(*inputs)
    uphill = torch.autograd.grad(scaled(plain), list(trained), allow_unused=True)
    with moved(trained, uphill, radius):
        with autocast():
            worst, _ = term(*inputs)
        backward(worst)
    metrics = metrics | {"sharpness": (worst - plain).detach()}
    loss = worst.detach()
    return (loss, metrics) if held is None else (loss + held[0].detach(), metrics | held[1])


@contextmanager
def moved(weights: Sequence[nn.Parameter], direction: Sequence[Tensor | None], distance: float) -> Iterator[None]:
    """Let weights stand `distance` further along a direction, over all of them, and afterwards where they stood.

    Args:
        weights: What is moved, in place.
        direction: A tensor of each weight's shape, or none for one that stays.
        distance: Euclidean. A direction whose length is 0 or not finite moves nothing.
    """
    given = [_wide(each).norm() for each in direction if each is not None]
    length = torch.stack(given).norm() if given else torch.zeros(())
    before = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        if bool(length > 0) and bool(torch.isfinite(length)):
            for weight, each in zip(weights, direction, strict=True):
                if each is not None:
                    weight.add_((_wide(each) * (distance / length)).to(weight.dtype))
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, value in zip(weights, before, strict=True):
                weight.copy_(value)


def _wide(values: Tensor) -> Tensor:
    """Return numbers whose squares do not overflow."""
    return values if values.dtype == torch.float64 else values.float()
