"""Rank-one editing: the second matrix of one layer's MLP is given a new value for the key of one subject.

    W' = W + Lambda (C^-1 k*)^T,    Lambda = delta / (k*^T C^-1 k*),    C = E[k k^T]

k* is what the matrix reads at the subject's last token, averaged over contexts; v* = v_0 + delta is what it should
write there, found by gradient descent:

    mean over contexts of NLL(target)  +  kl KL(edited || original) after the subject alone  +  decay |delta| / |v_0|^2

What no step changes is computed once: the layers up to the edited one, and in those above it keys and values of all
positions before the subject's last token. Logits are made at the target's positions and after the bare subject only.
The v* of several requests are found in one batch, each as if it were alone.

Source: Meng et al. 2022, arXiv:2202.05262, and its code for the constants; one key everywhere as r-ROME, Gupta et al.
2024, arXiv:2403.07175: with one averaged key, v* - W k* is delta. The original has the bare prompt's key in the
denominator and an averaged one in the direction. Deviations: a step is the last below `stop_nats` of the target's loss
alone, not of the whole one, whose decay term has another floor for every model; a decoder that normalises the MLP's
output, or the sum, is run from the edited layer on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from tasks.algorithms.editing.changes import frozen
from tasks.algorithms.editing.contexts import Rewrite, aligned, parted
from tasks.algorithms.models.activations import Kept, Places, changed_output, keep, logits_of, pad_left, resume
from tasks.algorithms.models.architectures import (
    added_as_is,
    is_transposed,
    mlp_output,
    mlp_weight,
    model_type,
    require_editable,
)
from tasks.algorithms.models.kernels import fused_activations
from tasks.algorithms.shapes import Float, Int
from tasks.settings.rank_one_editing import EditConfig


@dataclass(frozen=True, kw_only=True)
class Update:
    """W' = W + left right^T of one layer's MLP output matrix, W as (hidden, inner) whatever its storage."""

    layer: int
    left: Float[Tensor, "hidden rank"]
    right: Float[Tensor, "inner rank"]

    @property
    def norm(self) -> float:
        """Frobenius norm of the update."""
        inner = (self.left.double().T @ self.left.double()) * (self.right.double().T @ self.right.double())
        return inner.sum().clamp(min=0).sqrt().item()

    def apply(self, model: nn.Module) -> None:
        """Add the update to a model's weights in place."""
        matrix = mlp_output(model, self.layer)
        weight = matrix.weight
        exact = torch.promote_types(weight.dtype, torch.float32)  # C^-1 k* may lie beyond what half precision holds
        left, right = (side.to(weight.device, exact) for side in (self.left, self.right))
        with torch.no_grad():
            weight.add_((right @ left.T if is_transposed(matrix) else left @ right.T).to(weight.dtype))

    def weights(self, model: nn.Module) -> list[nn.Parameter]:
        """Return the one parameter that it is added to."""
        return [mlp_weight(model, self.layer)]


@dataclass(frozen=True, kw_only=True)
class Value:
    """What the matrix should write for one request, and what that is made of."""

    key: Float[Tensor, " inner"]
    """k*, averaged over contexts."""
    bare_key: Float[Tensor, " inner"]
    """k of the bare prompt."""
    before: Float[Tensor, " hidden"]
    """v_0."""
    delta: Float[Tensor, " hidden"]
    """v* - v_0."""
    nats: float
    """Mean loss of the target over contexts, nats a token, with delta added."""
    steps: int


def rank_one(value: Value, layer: int, solve: Callable[[Tensor], Tensor], keys: str = "averaged") -> Update:
    """Return the update that writes a value.

    Args:
        value: Key and change of one request.
        layer: The edited layer.
        solve: x -> C^-1 x, in float64.
        keys: `averaged` or `original`, see `EditConfig.keys`.
    """
    direction = solve(value.key.double())
    met = value.key if keys == "averaged" else value.bare_key
    left = value.delta.double() / (direction @ met.double())
    return Update(layer=layer, left=left[:, None], right=direction[:, None])


def find_values(
    model: nn.Module,
    rewrites: Sequence[Rewrite],
    layer: int,
    config: EditConfig,
    on_step: Callable[[int], None] = lambda step: None,
) -> list[Value]:
    """Find v* of several requests at once; none knows of the others.

    Args:
        model: A causal language model of a known type; it is left as it was.
        rewrites: The requests as token rows.
        layer: The edited layer.
        config: How.
        on_step: Called before each step with its number from 1.

    Raises:
        ValueError: If the model's type cannot be edited.
    """
    require_editable(model_type(model))
    with frozen(model), fused_activations(model):
        return _Search(model, rewrites, layer, config).run(on_step)


@dataclass(frozen=True, kw_only=True)
class _Group:
    """The rows of requests that end alike, as many tokens behind the subject: nothing is padded but the bare ones."""

    requests: list[int]
    kept: Kept
    owner: Int[Tensor, " rows"]
    """The number of each row's request."""
    reads: Places
    """Where logits are read: before each token of the targets, and last after the bare subjects."""
    token: Int[Tensor, " targets"]
    """The targets' tokens."""
    share: Float[Tensor, " targets"]
    """Of its request's loss: 1 / (contexts * target tokens)."""
    original: Float[Tensor, "requests vocab"]
    """Log-probabilities after the bare subjects before any change."""


class _Search:
    """The moving parts of one search for values."""

    def __init__(self, model: nn.Module, rewrites: Sequence[Rewrite], layer: int, config: EditConfig) -> None:
        self.model, self.rewrites, self.layer, self.config = model, rewrites, layer, config
        kept = _kept(model, rewrites, mlp_output(model, layer))
        self.added_as_is = added_as_is(model)
        self.kept = kept
        contexts = [rewrite.contexts for rewrite in rewrites]
        starts = [sum(len(each.rows) for each in rewrites[:number]) for number in range(len(rewrites))]
        exact = torch.promote_types(kept.inputs[0].dtype, torch.float32)
        key, value = kept.outputs["key"][:, 0].to(exact), kept.outputs["value"][:, 0].to(exact)
        self.keys = torch.stack([key[at : at + count].mean(dim=0) for at, count in zip(starts, contexts, strict=True)])
        self.bare_keys = torch.stack([key[at] for at in starts])
        self.before = torch.stack([value[at : at + n].mean(dim=0) for at, n in zip(starts, contexts, strict=True)])
        self.starts = starts
        self.delta = torch.zeros_like(self.before, requires_grad=True)

    def run(self, on_step: Callable[[int], None]) -> list[Value]:
        optimizer = torch.optim.Adam([self.delta], lr=self.config.learning_rate)
        active, nats, steps = list(range(len(self.rewrites))), [0.0] * len(self.rewrites), [0] * len(self.rewrites)
        groups = self._groups(active)
        for step in range(1, self.config.steps + 1):
            on_step(step)
            losses, whole = self._losses(groups, active)
            self._note(nats, active, losses)
            going = [request for request in active if nats[request] >= self.config.stop_nats]
            if not going:
                return self._values(nats, steps)
            (gradient,) = torch.autograd.grad(whole, self.delta)
            self._step(optimizer, gradient, going)
            for request in going:
                steps[request] = step
            if going != active:
                active, groups = going, self._groups(going)
        with torch.no_grad():
            self._note(nats, active, self._losses(groups, active)[0])
        return self._values(nats, steps)

    def _note(self, nats: list[float], active: list[int], losses: Float[Tensor, " all"]) -> None:
        found = losses.tolist()
        for request in active:
            nats[request] = found[request]

    def _values(self, nats: list[float], steps: list[int]) -> list[Value]:
        delta = self.delta.detach()
        return [
            Value(
                key=self.keys[number],
                bare_key=self.bare_keys[number],
                before=self.before[number],
                delta=delta[number],
                nats=nats[number],
                steps=steps[number],
            )
            for number in range(len(self.rewrites))
        ]

    def _step(self, optimizer: torch.optim.Optimizer, gradient: Tensor, going: list[int]) -> None:
        """Move the requests that go on: all of these took as many steps, so one optimiser's moments serve them all."""
        done = [number for number in range(len(self.rewrites)) if number not in going]
        held = self.delta.detach()[done].clone()
        self.delta.grad = gradient
        optimizer.step()
        with torch.no_grad():
            longest = self.config.clamp * self.before.norm(dim=1, keepdim=True)
            length = self.delta.norm(dim=1, keepdim=True)
            self.delta.mul_(torch.where(length > longest, longest / length, torch.ones_like(length)))
            self.delta[done] = held

    def _groups(self, active: Sequence[int]) -> list[_Group]:
        alike: dict[int, list[int]] = {}
        for request in active:
            tail = max(len(row.ids) - row.at for row in self.rewrites[request].rows)
            alike.setdefault(tail, []).append(request)
        return [self._group(requests) for requests in alike.values()]

    def _group(self, requests: list[int]) -> _Group:
        rows, owner, reads, bare = [], [], [], []
        for request in requests:
            rewrite, base = self.rewrites[request], len(rows)
            rows += range(self.starts[request], self.starts[request] + len(rewrite.rows))
            owner += [request] * len(rewrite.rows)
            bare.append(base + rewrite.contexts)
            share = 1.0 / (rewrite.contexts * len(rewrite.target))
            for context, row in enumerate(rewrite.rows[:-1]):
                first = len(row.ids) - row.at - len(rewrite.target)
                reads += [(base + context, first + n, token, share) for n, token in enumerate(rewrite.target)]
        device = self.before.device
        row, place, token, share = (torch.tensor(each, device=device) for each in zip(*reads, strict=True))
        subjects = torch.tensor(bare, device=device)
        kept = self.kept.rows(torch.tensor(rows, device=device)).unpadded()
        return _Group(
            requests=requests,
            kept=kept,
            owner=torch.tensor(owner, device=device),
            reads=(torch.cat([row, subjects]), torch.cat([place, torch.zeros_like(subjects)])),
            token=token,
            share=share.to(self.before),
            original=logits_of(self.model, kept.last[subjects, 0]).log_softmax(dim=-1),
        )

    def _losses(self, groups: Sequence[_Group], active: list[int]) -> tuple[Float[Tensor, " all"], Float[Tensor, ""]]:
        """Return the target loss of each request, and the sum of the objectives of those that go on."""
        losses = torch.zeros(len(self.rewrites), dtype=self.before.dtype, device=self.before.device)
        drift = torch.zeros_like(losses)
        for group in groups:
            said = logits_of(self.model, self._with_delta(group)).log_softmax(dim=-1)
            count = len(group.token)
            nll = -said[:count].gather(1, group.token[:, None])[:, 0] * group.share
            losses = losses.index_add(0, group.owner[group.reads[0][:count]], nll)
            bare = said[count:]
            drift[group.requests] = (bare.exp() * (bare - group.original)).sum(dim=-1)
        decay = self.delta[active].norm(dim=1) / self.before[active].norm(dim=1) ** 2
        whole = losses.sum() + self.config.kl_weight * drift.sum() + self.config.decay * decay.sum()
        return losses.detach(), whole

    def _with_delta(self, group: _Group) -> Float[Tensor, "reads width"]:
        """Return what the head reads with a change of the MLP's output at the subject."""
        kept, delta = group.kept, self.delta[group.owner][:, None].to(group.kept.inputs[0].dtype)

        if self.added_as_is:
            changed = _with_first(kept.inputs[self.layer + 1], delta)
            return resume(self.model, kept, self.layer + 1, changed, group.reads)
        with changed_output(mlp_output(self.model, self.layer), partial(_with_first, delta=delta), len(delta)):
            return resume(self.model, kept, self.layer, kept.inputs[self.layer])[group.reads]


def _kept(model: nn.Module, rewrites: Sequence[Rewrite], matrix: nn.Module) -> Kept:
    """Return the pass over all rows, from the subject's last token on; what rows begin with alike is run once."""
    device, past = next(model.parameters()).device, None
    begun, rest = parted(rewrites)
    if any(begun):
        number = {ids: number for number, ids in enumerate(dict.fromkeys(begun))}
        ids, mask = (each.to(device) for each in pad_left(list(number), filler=0))
        past = keep(model, ids, mask).rows(torch.tensor([number[ids] for ids in begun], device=device))
    ids, mask, split = aligned(rest)
    matrices = {"record": {"value": matrix}, "record_inputs": {"key": matrix}}
    return keep(model, ids.to(device), mask.to(device), split, past=past, **matrices)


def _with_first(
    states: Float[Tensor, "rows tail hidden"], delta: Float[Tensor, "rows 1 hidden"]
) -> Float[Tensor, "rows tail hidden"]:
    """Return states with a change of each row's first."""
    return torch.cat([states[:, :1] + delta, states[:, 1:]], dim=1)
