"""MEND: a small network turns the gradient of one edit into a better one, and is trained to.

    dL/dW = sum over tokens of  delta u^T           u: what the matrix reads, delta: the gradient of what it writes
    (u, delta) -> network -> (u~, delta~)            W' = W - alpha sum over tokens of  delta~ u~^T

    z = [normalised u; normalised delta]
    h = z + relu(s_1 * (U_1 V_1 z + b_1) + o_1)      U of rank r, zero at first: the network begins as the identity
    g = h + s_2 * (U_2 V_2 h + b_2) + o_2            s, o and alpha are a layer's own, all else is shared

    training    c NLL(target | edit and its rephrasings; W') + KL(before || after) of unrelated statements

Edits of a batch are made side by side, each seen by its own statements alone: the change is added to what the matrices
write, in its low rank, so that no weight is copied. Layers below the lowest edited one are run once.

Source: Mitchell et al. 2022, arXiv:2110.11309, and its code (no relu after the second step). Deviations: only the
output matrices of MLPs are edited; means and deviations of u and delta are measured once, before training; edit rates
are learned as logarithms, so that they stay positive.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from tasks.algorithms.editing.changes import frozen
from tasks.algorithms.editing.rome import Update
from tasks.algorithms.editing.statements import KeptStatements, keep_statements
from tasks.algorithms.measuring.metrics import ScoredSequence
from tasks.algorithms.models.activations import added_output
from tasks.algorithms.models.architectures import (
    decoder_layers,
    is_transposed,
    mlp_output,
    mlp_weight,
    model_type,
    require_editable,
)
from tasks.algorithms.shapes import Bool, Float, Int
from tasks.settings.edit_baselines import MEND_LAYERS, MendConfig


@dataclass(frozen=True, kw_only=True)
class MendExample:
    """An edit to learn from, with what should follow from it and what should not."""

    edit: ScoredSequence
    """The prompt with its new object."""
    rephrased: tuple[ScoredSequence, ...] = ()
    """The same in other words."""
    unrelated: tuple[ScoredSequence, ...]
    """What should stay; one at least."""


@dataclass(frozen=True, kw_only=True)
class Factors:
    """Gradients of several edits in parts, for each edited layer."""

    read: Float[Tensor, "layers edits seq inner"]
    """u."""
    wanted: Float[Tensor, "layers edits seq hidden"]
    """delta."""
    used: Bool[Tensor, "layers edits seq"]
    """Tokens that the loss depends on."""


@dataclass(frozen=True, kw_only=True)
class MendFigures:
    """What one training step saw."""

    edit_nats: float
    """Loss of the targets after the edits, nats a token."""
    drift: float
    """KL(before || after) of unrelated statements, nats a token."""


class Mend(nn.Module):
    """The network for some layers of one model; its matrices have one shape."""

    def __init__(self, layers: Sequence[int], inner: int, hidden: int, rank: int, edit_rate: float) -> None:
        super().__init__()
        self.layers, self.inner, self.hidden = list(layers), inner, hidden
        width = inner + hidden
        self.down = nn.ParameterList([nn.Parameter(torch.randn(rank, width) / width**0.5) for _ in range(2)])
        self.up = nn.ParameterList([nn.Parameter(torch.zeros(width, rank)) for _ in range(2)])
        self.bias = nn.ParameterList([nn.Parameter(torch.zeros(width)) for _ in range(2)])
        self.scale = nn.ParameterList([nn.Parameter(torch.ones(len(layers), 1, width)) for _ in range(2)])
        self.offset = nn.ParameterList([nn.Parameter(torch.zeros(len(layers), 1, width)) for _ in range(2)])
        self.log_rate = nn.Parameter(torch.full((len(layers),), edit_rate).log())
        self.register_buffer("mean", torch.zeros(len(layers), 1, width))
        self.register_buffer("deviation", torch.ones(len(layers), 1, width))

    def measure(self, factors: Factors) -> None:
        """Set the means and deviations of u and delta of each layer, over the tokens that are used."""
        for layer, (both, used) in enumerate(zip(_joined(factors), factors.used, strict=True)):
            values = both[used].double()
            deviation = values.std(dim=0, correction=0)
            self.mean[layer, 0] = values.mean(dim=0).to(self.mean)
            self.deviation[layer, 0] = torch.where(deviation > 0, deviation, torch.ones_like(deviation)).to(self.mean)

    def forward(
        self, factors: Factors
    ) -> tuple[Float[Tensor, "layers edits seq inner"], Float[Tensor, "layers edits seq hidden"]]:
        """Return u~ and -alpha delta~; tokens that are not used have none."""
        layers, edits, seq, _ = factors.read.shape
        state = (_joined(factors).flatten(1, 2) - self.mean) / self.deviation
        for step in (0, 1):
            made = (state @ self.down[step].T) @ self.up[step].T + self.bias[step]
            made = self.scale[step] * made + self.offset[step]
            # Not relu: at 0, where training begins, its gradient is 0 and nothing would be learned.
            state = state + (made.clamp(min=0) if step == 0 else made)
        state = state.view(layers, edits, seq, -1) * factors.used[..., None]
        read, wanted = state.split([self.inner, self.hidden], dim=-1)
        return read, -self.log_rate.exp()[:, None, None, None] * wanted


def mend_layers(model: nn.Module, config: MendConfig) -> list[int]:
    """Return the layers that are edited.

    Raises:
        ValueError: If the model has not that many, or its type cannot be edited.
    """
    require_editable(model_type(model))
    depth = len(decoder_layers(model))
    layers = list(range(max(0, depth - MEND_LAYERS), depth)) if config.layers is None else list(config.layers)
    if layers[-1] >= depth:
        raise ValueError(f"mend.layers is {config.layers}; wanted numbers below {depth}, the model's layers")
    return layers


def gradient_factors(model: nn.Module, statements: KeptStatements, layers: Sequence[int]) -> Factors:
    """Return the gradients of each statement's loss in parts: their outer products, summed over tokens, are those of
    the layers' matrices.
    """
    read: dict[int, Tensor] = {}
    shape = statements.kept.inputs[0].shape
    probes = [statements.kept.inputs[0].new_zeros(shape, requires_grad=True) for _ in layers]

    def note(layer: int, probe: Tensor, given: Tensor) -> Tensor:
        read[layer] = given.detach()
        return probe

    with ExitStack() as stack:
        for layer, probe in zip(layers, probes, strict=True):
            stack.enter_context(added_output(mlp_output(model, layer), partial(note, layer, probe), statements.rows))
        nats = statements.nats(statements.log_probabilities(model, layers[0]))
    wanted = torch.stack(torch.autograd.grad(nats.sum(), probes))
    used = (wanted != 0).any(dim=-1)
    return Factors(read=torch.stack([read[layer] for layer in layers]), wanted=wanted, used=used)


@contextmanager
def edited_apart(
    model: nn.Module,
    layers: Sequence[int],
    read: Float[Tensor, "layers edits seq inner"],
    written: Float[Tensor, "layers edits seq hidden"],
    owner: Int[Tensor, " rows"],
) -> Iterator[None]:
    """Let each row of a batch meet its own edit's model: W' = W + sum over tokens of written read^T."""

    def addition(number: int, given: Float[Tensor, "rows tail inner"]) -> Float[Tensor, "rows tail hidden"]:
        met = torch.einsum("rsi,rti->rst", given.to(read), read[number][owner])
        return torch.einsum("rst,rth->rsh", met, written[number][owner])

    with ExitStack() as stack:
        for number, layer in enumerate(layers):
            stack.enter_context(added_output(mlp_output(model, layer), partial(addition, number), len(owner)))
        yield


def train_mend(
    model: nn.Module,
    examples: Sequence[MendExample],
    config: MendConfig,
    on_step: Callable[[int, MendFigures], None] = lambda step, figures: None,
) -> Mend:
    """Train the network on edits of one model.

    Args:
        model: A causal language model of a known type, in evaluation mode; it is left as it was.
        examples: Edits to learn from, other ones than those that are judged.
        config: How.
        on_step: Called after each step with its number from 1.

    Raises:
        ValueError: If there are no examples, or one has nothing that should stay.
    """
    if not examples or not all(example.unrelated for example in examples):
        raise ValueError("MEND needs edits to learn from, each with unrelated statements; wanted one of each at least")
    layers, generator = mend_layers(model, config), torch.Generator().manual_seed(config.seed)
    with frozen(model):
        mend = _untrained(model, layers, config)
        mend.measure(gradient_factors(model, keep_statements(model, [each.edit for each in examples]), layers))
        rates = [{"params": [mend.log_rate], "lr": config.rate_learning_rate}]
        others = [parameter for parameter in mend.parameters() if parameter is not mend.log_rate]
        optimizer = torch.optim.Adam([{"params": others}, *rates], lr=config.learning_rate)
        for step, batch in enumerate(_batches(examples, config, generator), 1):
            loss, figures = _losses(mend, model, batch, config.edit_weight)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(mend.parameters(), config.clip_norm)
            optimizer.step()
            on_step(step, figures)
    return mend.eval()


def mend_updates(mend: Mend, model: nn.Module, statements: Sequence[ScoredSequence]) -> list[Update]:
    """Return the updates that write statements, one for each layer of the network, of as many ranks as the gradients
    have tokens; several statements' are added up.

    Args:
        mend: The network, trained on this model.
        model: It is left as it was.
        statements: Prompts with their new objects, which are scored.
    """
    with frozen(model):
        factors = gradient_factors(model, keep_statements(model, statements), mend.layers)
    with torch.no_grad():
        read, written = mend(factors)
    parts = zip(mend.layers, read, written, factors.used, strict=True)
    return [Update(layer=layer, left=after[used].T, right=before[used].T) for layer, before, after, used in parts]


def _untrained(model: nn.Module, layers: Sequence[int], config: MendConfig) -> Mend:
    weight = mlp_weight(model, layers[0])
    inner, hidden = weight.shape if is_transposed(mlp_output(model, layers[0])) else reversed(weight.shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        mend = Mend(layers, inner, hidden, config.rank, config.edit_rate)
    return mend.to(weight.device, torch.promote_types(weight.dtype, torch.float32))


def _batches(
    examples: Sequence[MendExample], config: MendConfig, generator: torch.Generator
) -> Iterator[list[MendExample]]:
    """Yield batches, each example once before any comes again, with one rephrasing and one unrelated statement each."""
    order = itertools.chain.from_iterable(
        torch.randperm(len(examples), generator=generator).tolist() for _ in itertools.count()
    )

    def drawn(statements: Sequence[ScoredSequence]) -> tuple[ScoredSequence, ...]:
        return (statements[int(torch.randint(len(statements), (1,), generator=generator))],) if statements else ()

    for _ in range(config.steps):
        chosen = [examples[place] for place in itertools.islice(order, min(config.batch, len(examples)))]
        yield [
            MendExample(edit=each.edit, rephrased=drawn(each.rephrased), unrelated=drawn(each.unrelated))
            for each in chosen
        ]


def _losses(mend: Mend, model: nn.Module, batch: Sequence[MendExample], weight: float) -> tuple[Tensor, MendFigures]:
    """Return c NLL + KL of one batch, each a mean over statements."""
    first = mend.layers[0]
    read, written = mend(gradient_factors(model, keep_statements(model, [each.edit for each in batch]), mend.layers))
    wanted = [(place, one) for place, each in enumerate(batch) for one in (each.edit, *each.rephrased)]
    stays = [(place, one) for place, each in enumerate(batch) for one in each.unrelated]
    kept = keep_statements(model, [one for _, one in (*wanted, *stays)])
    with torch.no_grad():
        before = kept.log_probabilities(model, first)
    owner = torch.tensor([place for place, _ in (*wanted, *stays)], device=before.device)
    with edited_apart(model, mend.layers, read, written, owner):
        after = kept.log_probabilities(model, first)
    nats = kept.nats(after)[: len(wanted)].mean()
    drift = kept.mean((before.exp() * (before - after)).sum(dim=-1))[len(wanted) :].mean()
    return weight * nats + drift, MendFigures(edit_nats=nats.item(), drift=drift.item())


def _joined(factors: Factors) -> Float[Tensor, "layers edits seq width"]:
    exact = torch.promote_types(factors.read.dtype, torch.float32)
    return torch.cat([factors.read, factors.wanted], dim=-1).to(exact)
