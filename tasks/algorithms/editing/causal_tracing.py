"""Causal tracing: which hidden state, at which token, carries a fact.

    clean       the prompt as it is: p
    corrupted   noise on the subject's token embeddings, several draws: p*
    restored    the same, with one state of the clean run put back: p*(state)

    total effect = p - p*          indirect effect of a state = p*(state) - p*

A state is the residual stream after one layer at one token, or the outputs of a window of MLPs or attentions around
one. p is the probability of the object's first token after the prompt, the mean over draws.

A grid has one cell for each layer and token. What a restored state cannot change is not computed again: layers below
it, and positions before it, are those of the corrupted run, so that all cells of a layer are rows of one pass which
begins there and at the first changed token. Only the last position's logits are made.

Source: Meng et al. 2022, arXiv:2202.05262: noise of three standard deviations of the embeddings, ten draws, windows of
ten layers of 48.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from tasks.algorithms.models.activations import Kept, changed_output, keep, logits_of, resume
from tasks.algorithms.models.architectures import attention_output, decoder_layers, mlp_output
from tasks.algorithms.shapes import Float, Int
from tasks.settings.rank_one_editing import TracingConfig

State = Literal["hidden", "mlp", "attention"]
STATES: tuple[State, ...] = ("hidden", "mlp", "attention")
MOST_ROWS = 512
"""Rows of one pass."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """The effects on one fact."""

    clean: float
    """p."""
    corrupted: float
    """p*, the mean over draws."""
    restored: dict[State, Float[Tensor, "layers seq"]]
    """State -> p*(state) of each layer and token of the prompt, the mean over draws."""
    subject: tuple[int, int]
    """Tokens [start, stop) of the subject."""

    @property
    def total(self) -> float:
        """The total effect."""
        return self.clean - self.corrupted

    def indirect(self, state: State) -> Float[Tensor, "layers seq"]:
        """Return the indirect effect of each layer and token."""
        return self.restored[state] - self.corrupted


def window_of(layer: int, size: int, depth: int) -> range:
    """Return the layers of a window around one, as many as there are."""
    return range(max(0, layer - size // 2), min(depth, layer - size // 2 + size))


def default_window(depth: int) -> int:
    """Return a window's size for a model of `depth` layers: a fifth of it, as 10 of 48."""
    return max(1, round(depth * 10 / 48))


def embedding_noise(
    model: nn.Module, subject: tuple[int, int], length: int, config: TracingConfig
) -> Float[Tensor, "draws seq hidden"]:
    """Return seeded noise on the subject's tokens, in the unit of what the embedding gives."""
    embedding = model.get_input_embeddings()
    table, scale = embedding.weight, float(getattr(embedding, "embed_scale", 1.0))  # Gemma's is no part of its table
    generator = torch.Generator().manual_seed(config.seed)
    start, stop = subject
    noise = torch.zeros(config.draws, length, table.shape[1])
    noise[:, start:stop] = torch.randn(config.draws, stop - start, table.shape[1], generator=generator)
    return (config.noise * scale * table.detach().float().std() * noise.to(table.device)).to(table.dtype)


@torch.no_grad()
def trace(
    model: nn.Module,
    ids: Sequence[int],
    subject: tuple[int, int],
    answer: int,
    config: TracingConfig,
    *,
    states: Sequence[State] = STATES,
    noise: Float[Tensor, "draws seq hidden"] | None = None,
    on_layer: Callable[[int, int], None] = lambda done, of: None,
) -> Trace:
    """Trace one fact.

    Args:
        model: A causal language model of a known type, in evaluation mode.
        ids: The prompt's tokens.
        subject: Tokens [start, stop) of the subject.
        answer: The object's first token.
        config: Noise, draws, window, seed.
        states: What is put back.
        noise: In place of the seeded one.
        on_layer: Called after each row of a grid: how many are done, of how many.
    """
    device = next(model.parameters()).device
    depth = len(decoder_layers(model))
    prompt = torch.tensor([list(ids)], device=device)
    noise = embedding_noise(model, subject, len(ids), config) if noise is None else noise
    recorded = {("mlp", layer): mlp_output(model, layer) for layer in range(depth)}
    recorded |= {("attention", layer): attention_output(model, layer) for layer in range(depth)}
    clean = keep(model, prompt, torch.ones_like(prompt), subject[0], record=recorded)
    many = prompt.expand(len(noise), -1)
    corrupted = keep(model, many, torch.ones_like(many), subject[0], noise=noise)
    grid = _Grid(model, clean, corrupted, answer, config.window or default_window(depth))
    restored: dict[State, Tensor] = {}
    for number, state in enumerate(states):
        cells = torch.zeros(depth, len(ids), dtype=noise.dtype if noise.dtype == torch.float64 else torch.float32)
        cells[:, : subject[0]] = grid.corrupted  # no noise has come there
        for layer in range(depth):
            cells[layer, subject[0] :] = grid.row(state, layer).cpu()
            on_layer(number * depth + layer + 1, len(states) * depth)
        restored[state] = cells
    return Trace(clean=grid.clean, corrupted=grid.corrupted, restored=restored, subject=subject)


class _Grid:
    """Cells of one prompt, a layer at a time."""

    def __init__(self, model: nn.Module, clean: Kept, corrupted: Kept, answer: int, window: int) -> None:
        self.model, self.kept_clean, self.kept, self.answer, self.window = model, clean, corrupted, answer, window
        self.depth, self.draws = len(clean.inputs) - 1, len(corrupted.ids)
        self.clean = self._answered(clean, self.depth, clean.inputs[-1]).mean().item()
        self.corrupted = self._answered(corrupted, self.depth, corrupted.inputs[-1]).mean().item()

    def row(self, state: State, layer: int) -> Float[Tensor, " tail"]:
        """Return p*(state) of one layer at each token of the tail."""
        tail = self.kept.ids.shape[1]
        at_once = max(1, MOST_ROWS // self.draws)
        groups = [list(range(start, min(start + at_once, tail))) for start in range(0, tail, at_once)]
        return torch.cat([self._cells(state, layer, group) for group in groups])

    def _cells(self, state: State, layer: int, tokens: list[int]) -> Float[Tensor, " tokens"]:
        """Return p*(state) at some tokens: a row for each token and draw."""
        token = torch.tensor(tokens, device=self.kept.ids.device).repeat_interleave(self.draws)
        kept = self.kept.rows(torch.arange(self.draws, device=token.device).repeat(len(tokens)))
        if state == "hidden":
            hidden = _put(kept.inputs[layer + 1], self.kept_clean.inputs[layer + 1], token)
            answered = self._answered(kept, layer + 1, hidden)
        else:
            layers = window_of(layer, self.window, self.depth)
            module = mlp_output if state == "mlp" else attention_output
            with ExitStack() as stack:
                for each in layers:
                    source = self.kept_clean.outputs[state, each]
                    put = partial(_put, source=source, token=token)
                    stack.enter_context(changed_output(module(self.model, each), put, len(token)))
                answered = self._answered(kept, layers[0], kept.inputs[layers[0]])
        return answered.view(len(tokens), self.draws).mean(dim=1)

    def _answered(self, kept: Kept, layer: int, hidden: Tensor) -> Float[Tensor, " rows"]:
        """Return the answer's probability with these states."""
        last = resume(self.model, kept, layer, hidden)[:, -1]
        return logits_of(self.model, last).softmax(dim=-1)[:, self.answer]


def _put(
    into: Float[Tensor, "rows tail width"], source: Float[Tensor, "one tail width"], token: Int[Tensor, " rows"]
) -> Float[Tensor, "rows tail width"]:
    """Return states with those of the clean run at one token of each row."""
    changed = into.clone()
    rows = torch.arange(len(token), device=token.device)
    changed[rows, token] = source[0, token].to(into.dtype)
    return changed
