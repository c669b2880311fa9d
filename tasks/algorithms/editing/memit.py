"""MEMIT: many facts at once, each spread over the MLP output matrices of several layers.

    z_i = h_i + delta_i                              at the last of the layers, as ROME finds v*
    R = [(z_i - h_i) / (layers left)]                what is still missing, with the lower layers edited already
    W' = W + R K^T (lambda C + K K^T)^-1             layer after layer, the lowest first

k_i is what the matrix reads at the subject's last token, and h_i the residual stream after the last of the layers, both
of the model as edited so far and averaged over contexts. The inverse is not made: with S = C^-1 K, all edits of a layer
cost one system of their number,

    (lambda C + K K^T)^-1 K = S (lambda I + K^T S)^-1

so that the factor of C that ROME uses serves here too, and lambda can change without another one.

Source: Meng et al. 2023, arXiv:2210.07229, equations 14 to 20 and algorithm 1. Deviation: what is missing is averaged
over the contexts, as the keys are; its code takes that of the bare prompt.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from tasks.algorithms.editing.changes import edited
from tasks.algorithms.editing.contexts import Rewrite, aligned
from tasks.algorithms.editing.rome import Update, Value, find_values
from tasks.algorithms.models.activations import keep
from tasks.algorithms.models.architectures import added_as_is, mlp_output
from tasks.algorithms.shapes import Float
from tasks.settings.rank_one_editing import EditConfig

Solve = Callable[[Tensor], Tensor]
"""x -> C^-1 x of one layer, in float64."""


def memit_layers(last: int, count: int) -> list[int]:
    """Return the layers that edits are spread over: `count` of them, or as many as there are, up to the last."""
    return list(range(max(0, last - count + 1), last + 1))


def memit_updates(
    model: nn.Module,
    rewrites: Sequence[Rewrite],
    layers: Sequence[int],
    solves: Sequence[Solve],
    config: EditConfig,
    on_step: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[list[Update], list[Value]]:
    """Return the updates that write all requests, and what each request was to write.

    Args:
        model: A causal language model of a known type; it is left as it was, to the bit.
        rewrites: The requests as token rows.
        layers: The edited layers, counted from 0, the lowest first.
        solves: For each layer x -> C^-1 x.
        config: `memit_moment_weight` is lambda; `batch` requests are held at a time.
        on_step: Called with the steps done and those there are at most: a step of the values of a batch, or a layer.

    Returns:
        An update for each layer, of as many ranks as there are requests: `left` is R, `right`
        (lambda C + K K^T)^-1 K; they belong together, since each was made with the lower ones applied. The values are
        those of the last layer.

    Raises:
        ValueError: If the layers are none or not in order, there is not one `solve` a layer, or the model normalises
            after its MLPs write and there is more than one layer.
    """
    _check(model, layers, solves)
    batches = [rewrites[start : start + config.batch] for start in range(0, len(rewrites), config.batch)]
    of = len(batches) * config.steps + len(layers)
    values: list[Value] = []
    for number, batch in enumerate(batches):
        done = number * config.steps
        values += find_values(model, batch, layers[-1], config, lambda step, done=done: on_step(done + step, of))
    delta = torch.stack([value.delta for value in values], dim=1).double()
    _, before = _states(model, batches, layers[-1], layers[-1])
    updates: list[Update] = []
    with ExitStack() as held:
        for number, (layer, solve) in enumerate(zip(layers, solves, strict=True)):
            keys, now = _states(model, batches, layer, layers[-1])
            missing = (before + delta - now) / (len(layers) - number)
            updates.append(Update(layer=layer, left=missing, right=_right(keys, solve, config.memit_moment_weight)))
            held.enter_context(edited(model, updates[-1:]))
            on_step(of - len(layers) + number + 1, of)
    return updates, values


def _right(keys: Float[Tensor, "inner edits"], solve: Solve, weight: float) -> Float[Tensor, "inner edits"]:
    """Return (lambda C + K K^T)^-1 K."""
    solved = solve(keys)
    inner = keys.T @ solved + weight * torch.eye(keys.shape[1], dtype=keys.dtype, device=keys.device)
    return torch.linalg.solve(inner, solved.T).T  # inner is symmetric


def _states(
    model: nn.Module, batches: Sequence[Sequence[Rewrite]], layer: int, last: int
) -> tuple[Float[Tensor, "inner edits"], Float[Tensor, "hidden edits"]]:
    """Return what a layer's matrix reads, and the residual stream after the last layer, at the subjects' last tokens:
    means over contexts, float64.
    """
    keys, hidden = [], []
    device = next(model.parameters()).device
    for batch in batches:
        ids, mask, split = aligned([row for rewrite in batch for row in rewrite.rows[: rewrite.contexts]])
        kept = keep(model, ids.to(device), mask.to(device), split, record_inputs={"key": mlp_output(model, layer)})
        counts = [rewrite.contexts for rewrite in batch]
        for store, states in ((keys, kept.outputs["key"]), (hidden, kept.inputs[last + 1])):
            store += [each.mean(dim=0) for each in states[:, 0].double().split(counts)]
    return torch.stack(keys, dim=1), torch.stack(hidden, dim=1)


def _check(model: nn.Module, layers: Sequence[int], solves: Sequence[Solve]) -> None:
    if not layers or list(layers) != sorted(set(layers)):
        raise ValueError(f"the layers of MEMIT are {list(layers)}; wanted one or more, the lowest first")
    if len(solves) != len(layers):
        raise ValueError(f"there are {len(solves)} solvers of C for {len(layers)} layers; wanted one a layer")
    if len(layers) > 1 and not added_as_is(model):
        raise ValueError(
            f"{type(model).__name__} normalises after its MLPs write, so that what is missing in the last layer cannot"
            " be written by another; wanted one layer"
        )
