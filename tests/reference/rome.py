"""Rank-one editing the plain way (arXiv:2202.05262; METHODS, section 2): one request at a time, and for each step of v*
a whole forward pass over all contexts with the logits of every position. Parameters are frozen; precision is the
model's, so a float64 model makes it the exact restatement. The benchmark of speed measures against it too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class Request:
    """Rows of tokens, each with the position of the subject's last token."""

    contexts: Sequence[tuple[Sequence[int], int]]
    """The prompt with the new object, all of it, the bare prompt first."""
    target: Sequence[int]
    subject: tuple[Sequence[int], int]
    """A text that begins with the subject."""


@dataclass
class Found:
    """v* and what it is made of."""

    key: Tensor
    bare_key: Tensor
    before: Tensor
    delta: Tensor
    nats: float
    """Of the last pass."""
    steps: int


def output_matrix(model: nn.Module, layer: int) -> nn.Module:
    """The second matrix of an MLP of GPT-2 or Llama."""
    if model.config.model_type == "gpt2":
        return model.transformer.h[layer].mlp.c_proj
    return model.model.layers[layer].mlp.down_proj


def find_value(model: nn.Module, request: Request, layer: int, config: object) -> Found:
    """Adam on delta, at most `config.steps` steps, none more once the loss of the target is below `stop_nats`."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    texts = [*request.contexts, request.subject]
    longest = max(len(ids) for ids, _ in texts)
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row, _ in texts])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row, _ in texts])
    rows, at = torch.arange(len(texts)), torch.tensor([place for _, place in texts])
    count, width = len(request.contexts), model.config.hidden_size
    delta = torch.zeros(width, dtype=next(model.parameters()).dtype, requires_grad=True)
    seen: dict[str, Tensor] = {}

    def add_delta(module: nn.Module, given: tuple, made: Tensor) -> Tensor:
        if not seen:
            seen["keys"], seen["values"] = given[0][rows, at].detach(), made[rows, at].detach()
        changed = made.clone()
        changed[rows, at] += delta
        return changed

    handle = output_matrix(model, layer).register_forward_hook(add_delta)
    first, second, original, steps = torch.zeros(width), torch.zeros(width), None, 0
    while True:
        log_p = model(input_ids=ids, attention_mask=mask, use_cache=False).logits.log_softmax(-1)
        before = seen["values"][:count].mean(0)
        subject = log_p[count, at[count]]
        original = subject.detach() if original is None else original
        nll = target_loss(log_p[:count], request)
        if nll.item() < config.stop_nats or steps == config.steps:
            break
        loss = nll + config.kl_weight * (subject.exp() * (subject - original)).sum()
        loss = loss + config.decay * delta.norm() / before.norm() ** 2
        (gradient,) = torch.autograd.grad(loss, delta)
        steps += 1
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        with torch.no_grad():
            delta -= config.learning_rate * (first / (1 - 0.9**steps)) / ((second / (1 - 0.999**steps)).sqrt() + 1e-8)
            if delta.norm() > config.clamp * before.norm():
                delta *= config.clamp * before.norm() / delta.norm()
    handle.remove()
    return Found(
        key=seen["keys"][:count].mean(0),
        bare_key=seen["keys"][0],
        before=before,
        delta=delta.detach(),
        nats=nll.item(),
        steps=steps,
    )


def target_loss(log_p: Tensor, request: Request) -> Tensor:
    """The mean over contexts of the mean over the target's tokens of -log p."""
    losses = []
    for row, (ids, _) in zip(log_p, request.contexts, strict=True):
        start = len(ids) - len(request.target)
        losses.append(-sum(row[start + n - 1, token] for n, token in enumerate(request.target)) / len(request.target))
    return sum(losses) / len(losses)


def change_of_weights(found: Found, solve: Callable[[Tensor], Tensor], keys: str = "averaged") -> Tensor:
    """W' - W as (hidden, inner): (v* - W k*) (C^-1 k*)^T / ((C^-1 k*)^T k*); the original divides by the product with
    the bare prompt's key.
    """
    direction = solve(found.key.double())
    met = found.key if keys == "averaged" else found.bare_key
    return torch.outer(found.delta.double(), direction) / torch.dot(direction, met.double())
