"""Unlearn by arithmetic on weights: go away from where training on the forget text leads.

    theta' = theta - a (theta_ft(F) - theta)

theta_ft(F) is the target model trained further on the forget text. No training loop of its own, no gradient.

Source: Ilharco et al. 2022, arXiv:2212.04089 (negated task vector). Deviation: none.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn


def negate(target: Mapping[str, Tensor], finetuned: Mapping[str, Tensor], a: float) -> dict[str, Tensor]:
    """Return theta - a (theta_ft - theta), tensor by tensor, computed in float32 at least; neither argument is changed.

    Args:
        target: The target model's tensors by name.
        finetuned: Those of the model trained further on the forget text: same names and shapes.
        a: How far to go, dimensionless, >= 0; at 0 the target's own values return, to the bit.

    Returns:
        Tensors by name, with the target's dtypes and devices. Tensors that are no floating-point numbers are the
        target's. Names that share one tensor in `target` (tied weights) share one in the result.

    Raises:
        ValueError: If names or shapes differ, or `a` is negative or not finite.
    """
    if not (a >= 0 and math.isfinite(a)):
        raise ValueError(f"a is {a}; wanted a number >= 0")
    if target.keys() != finetuned.keys():
        raise ValueError(
            f"the models differ in {', '.join(sorted(target.keys() ^ finetuned.keys())[:5])}; wanted tensors of the"
            " same names"
        )
    moved: dict[tuple, Tensor] = {}
    for name, tensor in target.items():
        if _place(tensor) not in moved:
            moved[_place(tensor)] = _moved(name, tensor, finetuned[name], a)
    return {name: moved[_place(tensor)] for name, tensor in target.items()}


@torch.no_grad()
def apply_task_vector(model: nn.Module, finetuned: nn.Module, a: float) -> None:
    """Change the weights of `model`, the target model, in place to theta - a (theta_ft - theta); `finetuned` is left as
    it was.

    Raises:
        ValueError: As `negate`.
    """
    state = model.state_dict()
    result = negate(state, finetuned.state_dict(), a)
    for name, tensor in state.items():
        tensor.copy_(result[name])


def _place(tensor: Tensor) -> tuple:
    """Where a tensor's numbers are: tied weights have one place under two names."""
    return (
        (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device)
        if tensor.numel()
        else (id(tensor),)
    )


def _moved(name: str, tensor: Tensor, finetuned: Tensor, a: float) -> Tensor:
    if tensor.shape != finetuned.shape:
        raise ValueError(
            f"{name} has shape {tuple(finetuned.shape)} in the model trained further; wanted {tuple(tensor.shape)}, as"
            " in the target"
        )
    if not tensor.is_floating_point() or not a:
        return tensor.detach().clone()
    exact = torch.promote_types(tensor.dtype, torch.float32)
    start = tensor.detach().to(exact)
    return (start - a * (finetuned.detach().to(start) - start)).to(tensor.dtype)
