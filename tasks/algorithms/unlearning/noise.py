"""Give up a share of every weight for noise, so that what it holds can only come back by training.

    theta <- (1 - alpha) theta + alpha beta N

N is a fresh initialisation after Xavier and Glorot, drawn for each tensor: of a matrix of `rows` and `columns` it is
uniform within sqrt(6 / (rows + columns)), whichever of both is the input. What has one dimension has N = 0 and only
shrinks, the gains of norms as well as biases: so the authors' code has it, in which that is part of the damage. A
tensor of more dimensions is a stack of matrices (fused experts). Embeddings are matrices as any other; where the output
head is tied to them both are one tensor, which is changed once and stays tied. Buffers are no weights.

Source: Lee et al. 2025, arXiv:2506.06278 (UNDO), `do_corruption` of the authors' code. Deviation: stacks of matrices,
which that code refuses or gives hardly any noise.
"""

import hashlib

import torch
from torch import Tensor, nn

from tasks.algorithms.shapes import Float


@torch.no_grad()
def shrink_and_perturb(model: nn.Module, alpha: float, beta: float, seed: int) -> None:
    """Change the weights of `model` in place to (1 - alpha) theta + alpha beta N.

    Args:
        model: Whatever is trained in it and what is not.
        alpha: Share of the weights that is given up, 0 to 1, less than 1; at 0 nothing changes.
        beta: Scale of the noise, dimensionless, >= 0; at 0 weights only shrink.
        seed: The noise of a tensor is a function of this and of the tensor's name, on every device; the caller's
            random numbers stay as they were.

    Raises:
        ValueError: If alpha or beta is out of range.
    """
    if not 0 <= alpha < 1:
        raise ValueError(f"alpha is {alpha}; wanted a number from 0 to 1, less than 1")
    if not 0 <= beta < float("inf"):
        raise ValueError(f"beta is {beta}; wanted a number >= 0")
    for name, weight in model.named_parameters() if alpha else ():
        # in half precision both terms would be rounded before they are added
        exact = weight.to(torch.promote_types(weight.dtype, torch.float32))
        weight.copy_((1 - alpha) * exact + alpha * beta * fresh(weight, _generator(name, seed)).to(exact))


def fresh(weight: Float[Tensor, "..."], generator: torch.Generator) -> Float[Tensor, "..."]:
    """Return N for a weight: of its shape, float32, on the CPU."""
    noise = torch.zeros(weight.shape)
    if weight.dim() > 1 and weight.numel():
        for matrix in noise.view(-1, *weight.shape[-2:]):
            nn.init.xavier_uniform_(matrix, generator=generator)
    return noise


def _generator(name: str, seed: int) -> torch.Generator:
    drawn = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(drawn[:8], "big") >> 1)
