"""Causal tracing the plain way (arXiv:2202.05262): for each cell of a grid a whole forward pass over the corrupted
prompts, all draws of the noise in one batch, with hooks that put states of the clean run back. GPT-2 and Llama.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack

import torch
from torch import Tensor, nn

Cell = tuple[nn.Module, int]
"""A module, and the token at which its output is put back."""


def modules(model: nn.Module, state: str) -> list[nn.Module]:
    """Of each layer the module whose output is the state."""
    layers = model.transformer.h if model.config.model_type == "gpt2" else model.model.layers
    if state == "hidden":
        return list(layers)
    if state == "mlp":
        return [layer.mlp for layer in layers]
    return [layer.attn if model.config.model_type == "gpt2" else layer.self_attn for layer in layers]


def first_of(made: Tensor | tuple) -> Tensor:
    """The states that a module returns, some in a tuple."""
    return made if isinstance(made, Tensor) else made[0]


def hooked(stack: ExitStack, module: nn.Module, hook: Callable) -> None:
    """Hook a module for as long as the stack is open."""
    stack.callback(module.register_forward_hook(hook).remove)


class Tracing:
    """One prompt, its clean states and its noise."""

    def __init__(self, model: nn.Module, ids: list[int], answer: int, noise: Tensor) -> None:
        self.model, self.answer, self.noise = model, answer, noise
        self.ids = torch.tensor([ids])
        self.states: dict[nn.Module, Tensor] = {}
        with ExitStack() as stack, torch.no_grad():
            for module in (each for state in ("hidden", "mlp", "attention") for each in modules(model, state)):
                hooked(stack, module, lambda module, given, made: self.states.update({module: first_of(made)}))
            self.clean = self.probability(self.ids).item()

    def probability(self, ids: Tensor) -> Tensor:
        """Of the answer after the prompt, in each row."""
        return self.model(input_ids=ids, use_cache=False).logits[:, -1].softmax(-1)[:, self.answer]

    @torch.no_grad()
    def restored(self, cells: Iterable[Cell]) -> float:
        """The answer's probability after a corrupted prompt in which these cells are clean: the mean over draws."""
        places: dict[nn.Module, list[int]] = {}
        for module, token in cells:
            places.setdefault(module, []).append(token)

        def put_back(module: nn.Module, given: tuple, made: Tensor | tuple) -> Tensor | tuple:
            changed = first_of(made).clone()
            changed[:, places[module]] = self.states[module][:, places[module]]
            return changed if isinstance(made, Tensor) else (changed, *made[1:])

        with ExitStack() as stack:
            hooked(stack, self.model.get_input_embeddings(), lambda module, given, made: made + self.noise)
            for module in places:
                hooked(stack, module, put_back)
            return self.probability(self.ids.expand(len(self.noise), -1)).mean().item()

    def grid(self, state: str, window: int) -> Tensor:
        """The probability for each layer and token; of MLPs and attentions a window of layers is put back: `window` of
        them, from layer - window // 2 on, as far as there are such layers.
        """
        found, depth = modules(self.model, state), len(modules(self.model, state))
        rows = []
        for layer in range(depth):
            layers = [layer] if state == "hidden" else range(layer - window // 2, layer - window // 2 + window)
            inside = [found[each] for each in layers if 0 <= each < depth]
            rows.append([self.restored([(each, token) for each in inside]) for token in range(self.ids.shape[1])])
        return torch.tensor(rows, dtype=torch.float64)
