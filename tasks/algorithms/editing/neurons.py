"""The neurons of one MLP that carry a fact: what its output matrix reads at the subject's tokens
(or, as the source has it, where the object is said).

    attribution_i = a_i * integral over s from 0 to 1 of  dP(object; s a) / da_i        sum_i = P(a) - P(0)

a are the activations of all of the layer's neurons at the subject's tokens, scaled together, so that the shares sum to
what they do together. The integral is taken by Gauss and Legendre's rule, which needs fewer points than the midpoint
rule for P's one steep step; they are doubled until the sum is met.

A fact is asked for in several wordings. A neuron counts in one where its attribution is at least a share of the
largest; chosen are those that count in most of them, by mean attribution, and no more than a small share of the layer.
That they carry the fact is shown by setting them to zero, against as many other neurons of the layer.

What does not change is computed once: only the layers above are run, on all prompts and points in one pass.

Source: Dai et al. 2022, arXiv:2104.08696 (threshold 0.2, share 0.7). Deviation: there each neuron is scaled alone, and
its shares sum to nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tasks.algorithms.editing.changes import frozen
from tasks.algorithms.editing.prompts import EditPrompt
from tasks.algorithms.models.activations import Kept, changed_output, keep, logits_of, pad_left, resume
from tasks.algorithms.models.architectures import added_as_is, mlp_output, model_type, require_editable
from tasks.algorithms.shapes import Bool, Float, Int
from tasks.settings.neurons import NeuronConfig

MOST_ROWS = 512
"""Rows of one pass."""
LEAST_EFFECT = 1e-3
"""Of P, to which a gap is related where the layer's neurons do less together."""


@dataclass(frozen=True, kw_only=True)
class Neurons:
    """What one layer's neurons do for one fact."""

    layer: int
    probability: Float[Tensor, " prompts"]
    """P(object) of each prompt."""
    without: Float[Tensor, " prompts"]
    """The same with all of the layer's neurons at zero."""
    activation: Float[Tensor, "prompts inner"]
    """At the subject's last token, or the prompt's."""
    attribution: Float[Tensor, "prompts inner"]
    """Sum over the tokens that are looked at, in P."""
    points: int
    """Points of the integral that were needed; 1 without one."""
    gap: float
    """How far the shares' sum is off, the largest of all prompts, relative to P - P(0)."""
    correlation: Float[Tensor, " inner"]
    """Pearson's, of activation and log P(object) over prompts; 0 where either does not vary."""
    chosen: tuple[int, ...]
    """The neurons that matter, the strongest first."""


def find_neurons(model: nn.Module, prompts: Sequence[EditPrompt], layer: int, config: NeuronConfig) -> Neurons:
    """Find the neurons that carry a fact in one layer.

    Args:
        model: A causal language model of a known type, in evaluation mode; it is left as it was.
        prompts: The fact in one or more wordings, each with its object.
        layer: The layer, counted from 0.
        config: How.

    Raises:
        ValueError: If there is no prompt, or one without an object, or the model's type cannot be edited.
    """
    with frozen(model):
        passes = _Passes(model, prompts, layer, config.tokens)
        probability, without = passes.scaled(1.0), passes.scaled(0.0)
        if config.attribution == "integrated_gradients":
            attribution, points, gap = _integrated(passes, probability - without, config)
        else:
            attribution, points = passes.gradients([1.0])[0], 1
            gap = _gap(attribution, probability - without)
    activation = passes.activation[torch.arange(len(prompts)), passes.last]
    return Neurons(
        layer=layer,
        probability=probability,
        without=without,
        activation=activation,
        attribution=attribution,
        points=points,
        gap=gap,
        correlation=correlation(activation, probability.clamp_min(torch.finfo(probability.dtype).tiny).log()),
        chosen=choose(attribution, config),
    )


def choose(attribution: Float[Tensor, "prompts inner"], config: NeuronConfig) -> tuple[int, ...]:
    """Return the neurons that matter in most prompts, the strongest first; none where none adds to P."""
    most = max(1, int(config.most * attribution.shape[1]))
    strongest = attribution.max(dim=1, keepdim=True).values
    counts = (attribution >= config.threshold * strongest) & (attribution > 0)
    shares = counts.double().mean(dim=0)
    strength = attribution.double().mean(dim=0)
    strength[shares < min(config.share, shares.max().item())] = 0
    ranked = strength.argsort(descending=True, stable=True)[:most]
    return tuple(ranked[strength[ranked] > 0].tolist())


def correlation(
    activation: Float[Tensor, "prompts inner"], output: Float[Tensor, " prompts"]
) -> Float[Tensor, " inner"]:
    """Return Pearson's correlation of each neuron with the output over prompts; 0 where either does not vary."""
    centred, other = activation.double() - activation.double().mean(dim=0), output.double() - output.double().mean()
    lengths = centred.norm(dim=0) * other.norm()
    met = other @ centred
    return torch.where(lengths > 1e-12, met / lengths.clamp(min=1e-12), torch.zeros_like(met)).clamp(-1, 1)


@torch.no_grad()
def ablate(
    model: nn.Module,
    prompts: Sequence[EditPrompt],
    layer: int,
    choices: Sequence[Sequence[int]],
    tokens: str = "subject",
) -> Float[Tensor, "choices prompts"]:
    """Return P(object) with each choice of neurons set to zero.

    Args:
        model: A causal language model of a known type, in evaluation mode.
        prompts: The fact in one or more wordings, each with its object.
        layer: The neurons' layer.
        choices: Neurons by number; an empty one changes nothing.
        tokens: Where, as in `NeuronConfig`.

    Raises:
        ValueError: If there is no prompt, or one without an object, or the model's type cannot be edited.
    """
    passes = _Passes(model, prompts, layer, tokens)
    scale = torch.ones(len(choices), passes.activation.shape[-1], device=passes.activation.device)
    for row, choice in enumerate(choices):
        scale[row, list(choice)] = 0
    return torch.cat([passes.scaled_by(part) for part in scale.split(passes.at_once)])


def _integrated(
    passes: "_Passes", together: Float[Tensor, " prompts"], config: NeuronConfig
) -> tuple[Float[Tensor, "prompts inner"], int, float]:
    """Return the attributions, the points that they took, and how far their sum is off."""
    points = config.points
    while True:
        places, weights = np.polynomial.legendre.leggauss(points)
        gradients = passes.gradients(((places + 1) / 2).tolist())
        weight = torch.tensor(weights / 2, dtype=gradients.dtype, device=gradients.device)
        attribution = torch.einsum("s,spi->pi", weight, gradients)
        gap = _gap(attribution, together)
        if gap <= config.tolerance or 2 * points > config.most_points:
            return attribution, points, gap
        points *= 2


def _gap(attribution: Float[Tensor, "prompts inner"], together: Float[Tensor, " prompts"]) -> float:
    off = (attribution.double().sum(dim=1) - together.double()).abs()
    return (off / together.double().abs().clamp(min=LEAST_EFFECT)).max().item()


class _Passes:
    """Passes of one fact's prompts with changed activations, from the subject on and from one layer up."""

    def __init__(self, model: nn.Module, prompts: Sequence[EditPrompt], layer: int, tokens: str) -> None:
        if not prompts or not all(prompt.target for prompt in prompts):
            raise ValueError("a fact's neurons need prompts with the object after them; wanted at least one")
        require_editable(model_type(model))
        self.model, self.layer, self.matrix = model, layer, mlp_output(model, layer)
        device = next(model.parameters()).device
        ids, mask = pad_left([prompt.ids[:-1] for prompt in prompts], prompts[0].ids[0])
        left = [ids.shape[1] - len(prompt.ids) + 1 for prompt in prompts]
        starts = [before + prompt.subject[0] for before, prompt in zip(left, prompts, strict=True)]
        split = min(starts)
        self.kept = keep(model, ids.to(device), mask.to(device), split, record_inputs={"activation": self.matrix})
        self.activation: Float[Tensor, "prompts tail inner"] = self.kept.outputs["activation"]
        self.at: Bool[Tensor, "prompts tail"] = torch.zeros(self.kept.ids.shape, dtype=torch.bool, device=device)
        last = [
            before + (prompt.target_start - 1 if tokens == "last_token" else prompt.last_subject) - split
            for before, prompt in zip(left, prompts, strict=True)
        ]
        for row, (start, end) in enumerate(zip(starts, last, strict=True)):
            self.at[row, (start - split if tokens == "subject" else end) : end + 1] = True
        self.last: Int[Tensor, " prompts"] = torch.tensor(last, device=device)
        reads = [
            (row, before + prompt.target_start - 1 - split + place, token)
            for row, (before, prompt) in enumerate(zip(left, prompts, strict=True))
            for place, token in enumerate(prompt.target)
        ]
        self.row, self.place, self.token = (torch.tensor(each, device=device) for each in zip(*reads, strict=True))
        self.at_once = max(1, MOST_ROWS // len(prompts))

    @torch.no_grad()
    def scaled(self, factor: float) -> Float[Tensor, " prompts"]:
        """Return P(object) with all neurons' activations times a factor."""
        return self.scaled_by(torch.full((1, self.activation.shape[-1]), factor, device=self.activation.device))[0]

    def scaled_by(self, factor: Float[Tensor, "passes inner"]) -> Float[Tensor, "passes prompts"]:
        """Return P(object) with each neuron's activation times a factor of its own."""
        whole = self.activation * self.at[:, :, None]
        return self._probability(((factor - 1).to(whole)[:, None, None] * whole).flatten(0, 1), len(factor))

    def gradients(self, factors: Sequence[float]) -> Float[Tensor, "passes prompts inner"]:
        """Return activation times gradient of P(object), summed over tokens, with all activations times
        each factor.
        """
        whole = self.activation * self.at[:, :, None]
        found = []
        for start in range(0, len(factors), self.at_once):
            some = torch.tensor(factors[start : start + self.at_once]).to(whole) - 1
            change = (some[:, None, None, None] * whole).flatten(0, 1).requires_grad_()
            (gradient,) = torch.autograd.grad(self._probability(change, len(some)).sum(), change)
            found.append((gradient.view(len(some), *whole.shape) * whole).sum(dim=2))
        return torch.cat(found)

    def _probability(self, change: Float[Tensor, "rows tail inner"], passes: int) -> Float[Tensor, "passes prompts"]:
        """Return P(object) with a change of the activations; rows are the prompts, pass after pass."""
        prompts = len(self.activation)
        kept = self.kept.rows(torch.arange(prompts, device=change.device).repeat(passes))
        last = self._resumed(kept, self.matrix(change) - self.matrix(torch.zeros_like(change[:1, :1])))
        steps = prompts * torch.arange(passes, device=change.device)[:, None]
        said = logits_of(self.model, last[self.row + steps, self.place]).log_softmax(dim=-1)
        nats = said.gather(-1, self.token.expand(passes, -1)[..., None])[..., 0]
        return torch.zeros(passes, prompts, dtype=nats.dtype, device=nats.device).index_add(1, self.row, nats).exp()

    def _resumed(self, kept: Kept, written: Float[Tensor, "rows tail hidden"]) -> Float[Tensor, "rows tail width"]:
        """Return what the head reads with a change of what the MLP writes."""
        if added_as_is(self.model):
            return resume(self.model, kept, self.layer + 1, kept.inputs[self.layer + 1] + written)
        with changed_output(self.matrix, lambda made: made + written, len(written)):
            return resume(self.model, kept, self.layer, kept.inputs[self.layer])
