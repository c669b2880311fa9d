"""Weights rounded to a few bits, as a model is that is quantised to be served.

    scale = max |w| / (2^(bits - 1) - 1)        over a group of inputs of one output
    w'    = scale * round(w / scale)

Unlearning that changes weights little can be undone by it: both models round to the same numbers. Rounded are the
matrices of attention and MLPs; embeddings, head, norms and biases stay, as in the usual quantised checkpoints.

Source: round to nearest in groups, the baseline of Frantar et al. 2022, arXiv:2210.17323; as an attack on unlearning,
Zhang et al. 2024, arXiv:2410.16454.
"""

import torch
from torch import Tensor, nn

from tasks.algorithms.models.architectures import is_transposed
from tasks.algorithms.shapes import Float


def round_weights(model: nn.Module, bits: int, group: int) -> int:
    """Round a causal language model's matrices in place.

    Args:
        model: Any causal language model of transformers.
        bits: Bits a weight, >= 2.
        group: Inputs that share a scale, >= 1; the last group of a row may be smaller.

    Returns:
        The number of matrices.
    """
    head, count = model.get_output_embeddings(), 0
    with torch.no_grad():
        for module in model.modules():
            if module is head or isinstance(module, nn.Embedding):
                continue
            for weight in module.parameters(recurse=False):
                if weight.dim() > 1:
                    inputs_last = weight.mT if is_transposed(module) else weight
                    inputs_last.copy_(rounded(inputs_last, bits, group))
                    count += 1
    return count


def rounded(weight: Float[Tensor, "*outputs inputs"], bits: int, group: int) -> Float[Tensor, "*outputs inputs"]:
    """Return a matrix rounded to nearest, each group of an output's inputs by its own scale."""
    most = 2 ** (bits - 1) - 1
    exact = weight.to(torch.promote_types(weight.dtype, torch.float32))
    parts = []
    for part in exact.split(group, dim=-1):
        scale = part.abs().amax(dim=-1, keepdim=True) / most
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        parts.append((part / scale).round() * scale)
    return torch.cat(parts, dim=-1).to(weight.dtype)
