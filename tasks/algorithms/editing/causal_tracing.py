"""Causal tracing: which hidden state, at which token, carries a fact.

    clean       the prompt as it is: p
    corrupted   noise on the subject's token embeddings, several draws: p*
    restored    the same, with one state of the clean run put back: p*(state)

    total effect = p - p*          indirect effect of a state = p*(state) - p*

A state is the residual stream after one layer at one token, or the outputs of a window of MLPs or attentions around
one. p is the probability of the object's first token after the prompt, the mean over draws.

A grid has one cell for each layer and token. What a restored state cannot change is not computed again: layers below
it, and positions before it, are those of the corrupted run. So all cells of a token are rows of one pass over the
positions from there on, which join it where their first changed layer hands on its states; that layer changes at this
token alone, and a single pass makes it for all tokens. Only the last position's logits are made.

Source: Meng et al. 2022, arXiv:2202.05262: noise of three standard deviations of the embeddings, ten draws, windows of
ten layers of 48.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Literal

import torch
from torch import Tensor, nn

from tasks.algorithms.models.activations import Kept, Places, changed_output, keep, logits_of, resume, resume_all
from tasks.algorithms.models.architectures import attention_output, decoder_layers, mlp_output
from tasks.algorithms.shapes import Float
from tasks.settings.tracing import TracingConfig

State = Literal["hidden", "mlp", "attention"]
STATES: tuple[State, ...] = ("hidden", "mlp", "attention")
MATRICES: dict[State, Callable[[nn.Module, int], nn.Module]] = {"mlp": mlp_output, "attention": attention_output}
"""What makes the outputs that are put back over a window of layers."""
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
    tokens: Sequence[int] | None = None,
    on_token: Callable[[int, int], None] = lambda done, of: None,
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
        tokens: At which states are put back, from the subject on; everywhere else the grid has p*. None: at all of
            them.
        on_token: Called after each token's cells: how many are done, of how many.
    """
    device = next(model.parameters()).device
    layers = range(len(decoder_layers(model)))
    noise = embedding_noise(model, subject, len(ids), config) if noise is None else noise
    rows = torch.tensor([list(ids)], device=device).expand(1 + len(noise), -1)
    recorded = {(state, layer): matrix(model, layer) for state, matrix in MATRICES.items() for layer in layers}
    clean_first = torch.cat([torch.zeros_like(noise[:1]), noise])
    kept = keep(model, rows, torch.ones_like(rows), subject[0], noise=clean_first, record=recorded)
    grid = _Grid(model, kept, answer, states, config.window or default_window(len(layers)))
    cells = torch.full((len(states), len(layers), len(ids)), grid.corrupted, dtype=torch.float64)
    tokens = range(subject[0], len(ids)) if tokens is None else tokens  # no noise has come to those before
    for done, token in enumerate(tokens, 1):
        cells[:, :, token] = grid.token(token).cpu()
        on_token(done, len(tokens))
    restored = {
        state: each.to(torch.promote_types(noise.dtype, torch.float32))
        for state, each in zip(states, cells, strict=True)
    }
    return Trace(clean=grid.clean, corrupted=grid.corrupted, restored=restored, subject=subject)


@dataclass(frozen=True, kw_only=True)
class _Cell:
    """What is put back at a token."""

    state: State
    layer: int
    """The layer whose hidden states are put back, or the first of a window."""
    further: range = range(0)
    """The other layers of a window."""


class _Grid:
    """Cells of one prompt, a token at a time."""

    def __init__(self, model: nn.Module, kept: Kept, answer: int, states: Sequence[State], window: int) -> None:
        self.model, self.answer, self.states, self.depth = model, answer, states, len(kept.inputs) - 1
        each = torch.arange(len(kept.ids), device=kept.ids.device)
        self.kept_clean, self.kept, self.draws = kept.rows(each[:1]), kept.rows(each[1:]), len(each) - 1
        p = self._answered(kept.last[:, -1])
        self.clean, self.corrupted = p[0].item(), p[1:].mean().item()
        self.handed_on = self._handed_on()
        self.cells = [cell for state in states for cell in _cells(state, self.depth, window)]
        self.order = sorted(range(len(self.cells)), key=lambda number: self.cells[number].layer)

    def token(self, at: int) -> Float[Tensor, "states layers"]:
        """Return p*(state) of each state and layer at a token."""
        tail, found = self.kept.cut(at), torch.zeros(len(self.cells), dtype=torch.float64)
        at_once = max(1, MOST_ROWS // self.draws)
        for start in range(0, len(self.cells), at_once):
            chosen = self.order[start : start + at_once]
            found[chosen] = self._answers(tail, [self.cells[number] for number in chosen]).double().cpu()
        return found.view(len(self.states), self.depth)

    def _answers(self, tail: Kept, cells: Sequence[_Cell]) -> Float[Tensor, " cells"]:
        """Return p*(state) of some cells, in the order of their layers: a row for each cell and draw."""
        place, alone = tail.split - self.kept.split, tail.ids.shape[1] == 1
        joining: dict[int, Tensor] = {}
        for layer, some in groupby(cells, key=lambda cell: cell.layer):
            rows = tail.inputs[layer + 1].repeat(len(those := list(some)), 1, 1)
            rows[:, 0] = torch.cat([self.handed_on[cell.state][layer][:, place] for cell in those])
            joining[layer + 1] = rows
        of = torch.arange(self.draws, device=tail.ids.device).repeat(len(cells))
        read = range(self.depth if alone else self.depth - 1)  # what the last layer writes before the end is not read
        with self._windows(cells, place, read):
            last = resume_all(self.model, tail, joining, of, _ends(len(of), tail))
        return self._answered(last).view(len(cells), self.draws).mean(dim=1)

    @contextmanager
    def _windows(self, cells: Sequence[_Cell], place: int, layers: Sequence[int]) -> Iterator[None]:
        """Put back what the further layers of windows wrote at the first token of the tail."""
        with ExitStack() as stack:
            for state, matrix in MATRICES.items():
                further = {layer for cell in cells if cell.state == state for layer in cell.further}
                for layer in sorted(further & {*layers}):
                    joined = [cell.state == state and layer in cell.further for cell in cells if cell.layer < layer]
                    inside = torch.tensor(joined, device=self.kept.ids.device).repeat_interleave(self.draws)
                    put = partial(_put, at=(inside, 0), states=self.kept_clean.outputs[state, layer][0, place])
                    stack.enter_context(changed_output(matrix(self.model, layer), put, len(inside)))
            yield

    def _handed_on(self) -> dict[State, Sequence[Float[Tensor, "draws tail hidden"]]]:
        """Return what each layer hands on at a token where a state of that token is put back in this layer alone.

        Neither MLPs nor what attention adds mix tokens, so that one pass serves all tokens; it serves all layers too,
        since each of them is given what it reads in the corrupted run.
        """
        made: list[Tensor] = []

        def note(given: Tensor) -> Tensor:
            made.append(given)
            return kept.inputs[len(made)]

        blocks = {state: slice(n * self.draws, (n + 1) * self.draws) for n, state in enumerate(MATRICES)}
        kept = self.kept.rows(torch.arange(self.draws, device=self.kept.ids.device).repeat(len(blocks)))
        with ExitStack() as stack:
            for number, layer in enumerate(decoder_layers(self.model)):
                for state, matrix in MATRICES.items():
                    put = partial(_put, at=(blocks[state],), states=self.kept_clean.outputs[state, number])
                    stack.enter_context(changed_output(matrix(self.model, number), put, len(kept.ids)))
                stack.enter_context(changed_output(layer, note, len(kept.ids)))
            resume(self.model, kept, 0, kept.inputs[0])
        hidden = [each.expand(self.draws, -1, -1) for each in self.kept_clean.inputs[1:]]
        return {"hidden": hidden} | {state: [each[block] for each in made] for state, block in blocks.items()}

    def _answered(self, last: Float[Tensor, "rows width"]) -> Float[Tensor, " rows"]:
        """Return the answer's probability."""
        return logits_of(self.model, last).softmax(dim=-1)[:, self.answer]


def _ends(rows: int, tail: Kept) -> Places:
    """Return the last position of each row."""
    device = tail.ids.device
    return torch.arange(rows, device=device), torch.full((rows,), tail.ids.shape[1] - 1, device=device)


def _cells(state: State, depth: int, window: int) -> list[_Cell]:
    """Return the cells of a token, one for each layer."""
    if state == "hidden":
        return [_Cell(state=state, layer=layer) for layer in range(depth)]
    windows = [window_of(layer, window, depth) for layer in range(depth)]
    return [_Cell(state=state, layer=each[0], further=each[1:]) for each in windows]


def _put(
    into: Float[Tensor, "rows tail width"], at: tuple, states: Float[Tensor, "*some width"]
) -> Float[Tensor, "rows tail width"]:
    """Return states with others in some places."""
    changed = into.clone()
    changed[at] = states
    return changed
