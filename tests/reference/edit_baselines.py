"""Editing's baselines restated in float64: whole passes of one statement, weights changed in place, loops (METHODS,
section 2; arXiv:2012.00363, arXiv:2104.08696, arXiv:2110.11309).
"""

import copy

import torch
from torch import Tensor, nn

from tasks.algorithms.measuring.metrics import ScoredSequence
from tasks.algorithms.models.architectures import is_transposed, mlp_output


def nats(model: nn.Module, statement: ScoredSequence) -> Tensor:
    """Return a statement's loss, nats a token."""
    logits = model(input_ids=torch.tensor([statement.ids])).logits[0]
    losses = [
        -logits[place - 1].log_softmax(-1)[statement.ids[place]] for place in range(statement.start, len(statement.ids))
    ]
    return sum(losses) / len(losses)


def gradient(model: nn.Module, statements: list[ScoredSequence], layer: int) -> Tensor:
    """Return the gradient of the mean loss by a layer's MLP output matrix, as it is stored."""
    weight = mlp_output(model, layer).weight
    loss = sum(nats(model, statement) for statement in statements) / len(statements)
    return torch.autograd.grad(loss, weight)[0]


def finetune(
    model: nn.Module, statements: list[ScoredSequence], layer: int, rate: float, steps: int, bound: float | None
) -> Tensor:
    """Return the change of the matrix after so many steps of Adam, projected after each."""
    model = copy.deepcopy(model)
    weight = mlp_output(model, layer).weight
    start = weight.detach().clone()
    first, second = torch.zeros_like(start), torch.zeros_like(start)
    for step in range(1, steps + 1):
        slope = gradient(model, statements, layer)
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        moved = weight.detach() - rate * (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
        if bound is not None:
            moved = torch.max(torch.min(moved, start + bound), start - bound)
        weight.data = moved
    return weight.detach() - start


def mend_token(mend: nn.Module, layer: int, read: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return u~ and delta~ of one token in one of the network's layers, by its place among them."""
    z = torch.cat([read, wanted])
    z = (z - mend.mean[layer, 0]) / mend.deviation[layer, 0]
    for step in (0, 1):
        made = torch.stack([(mend.up[step][i] * (mend.down[step] @ z)).sum() for i in range(len(z))])
        made = mend.scale[step][layer, 0] * (made + mend.bias[step]) + mend.offset[step][layer, 0]
        z = z + (torch.relu(made) if step == 0 else made)
    return z[: len(read)], z[len(read) :]


def written_rows(model: nn.Module, layer: int) -> Tensor:
    """Return what each neuron writes, (inner, hidden), sharing the weight's storage."""
    matrix = mlp_output(model, layer)
    return matrix.weight.data if is_transposed(matrix) else matrix.weight.data.T
