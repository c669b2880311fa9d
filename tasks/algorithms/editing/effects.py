"""Effects of many traces together: by layer and by what a token is in its prompt."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tasks.algorithms.editing.causal_tracing import State, Trace
from tasks.algorithms.measuring.metrics import cluster_bootstrap
from tasks.algorithms.shapes import Float

ROLES = (
    "first subject token",
    "middle subject tokens",
    "last subject token",
    "first subsequent token",
    "further tokens",
    "last token",
)
LAST_SUBJECT = "last subject token"
EDITED: State = "mlp"
"""The state whose effect there says which layer is edited: an edit changes what an MLP writes."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """An average indirect effect."""

    state: State
    role: str
    layer: int
    mean: float
    """Probability, 0 to 1."""
    low: float
    high: float
    """Of the 95 % interval over facts."""
    share: float
    """Of the mean total effect."""


def role_of(token: int, subject: tuple[int, int], length: int) -> str | None:
    """Return what a token is in its prompt; None before the subject, where nothing is corrupted. A subject of one token
    is its last one; the prompt's last token is that and nothing else.
    """
    start, stop = subject
    if token < start:
        return None
    if token < stop:
        return LAST_SUBJECT if token == stop - 1 else ROLES[0] if token == start else ROLES[1]
    return ROLES[5] if token == length - 1 else ROLES[3] if token == stop else ROLES[4]


def average_effects(traces: Sequence[Trace], draws: int = 500, seed: int = 0) -> list[Effect]:
    """Return the mean over facts of each indirect effect, for every state, role and layer that some prompt has; where a
    role has several tokens, a fact's effect is their mean.

    Raises:
        ValueError: If there are no traces.
    """
    if not traces:
        raise ValueError("there are no traces to average; wanted at least one fact that the model knows")
    total = sum(trace.total for trace in traces) / len(traces)
    effects = []
    for state in traces[0].restored:
        for role in ROLES:
            found = [by_role for trace in traces if (by_role := _by_role(trace, state).get(role)) is not None]
            for layer in range(len(found[0]) if found else 0):
                values = [one[layer].item() for one in found]
                mean, (low, high) = sum(values) / len(values), _interval(values, draws, seed)
                effects.append(
                    Effect(
                        state=state,
                        role=role,
                        layer=layer,
                        mean=mean,
                        low=low,
                        high=high,
                        share=mean / total if total else 0.0,
                    )
                )
    return effects


def ranked_layers(effects: Sequence[Effect], state: State = EDITED) -> list[int]:
    """Return all layers, that first whose window has the largest average indirect effect at the subject's last token;
    of equals the lower one.

    Raises:
        ValueError: If that was not traced.
    """
    found = [effect for effect in effects if effect.state == state and effect.role == LAST_SUBJECT]
    if not found:
        raise ValueError(f"no {state} effects at the last subject token; wanted a trace that has them")
    return [effect.layer for effect in sorted(found, key=lambda effect: (-effect.mean, effect.layer))]


def best_layer(effects: Sequence[Effect], state: State = EDITED) -> int:
    """Return the first of `ranked_layers`."""
    return ranked_layers(effects, state)[0]


def named_layers(effects: Sequence[Effect], count: int) -> list[int]:
    """Return the first `count` of `ranked_layers`, in order."""
    return sorted(ranked_layers(effects)[:count])


def other_layers(effects: Sequence[Effect], count: int, seed: int) -> list[int]:
    """Return as many layers, in order, drawn from those that `named_layers` leaves out.

    Raises:
        ValueError: If it does not leave so many.
    """
    others = sorted(ranked_layers(effects)[count:])
    if count > len(others):
        raise ValueError(f"{count} other layers are wanted, and there are {len(others)}; wanted {len(others)} at most")
    return sorted(random.Random(seed).sample(others, count))


def _by_role(trace: Trace, state: State) -> dict[str, Float[torch.Tensor, " layers"]]:
    """Return each role's effect by layer."""
    grid, columns = trace.indirect(state), {}
    for token in range(grid.shape[1]):
        if role := role_of(token, trace.subject, grid.shape[1]):
            columns.setdefault(role, []).append(grid[:, token])
    return {role: torch.stack(each).mean(dim=0) for role, each in columns.items()}


def _interval(values: Sequence[float], draws: int, seed: int) -> tuple[float, float]:
    """Return a bootstrap interval; of one fact there is none."""
    if len(values) < 2:
        return float("nan"), float("nan")
    return cluster_bootstrap(np.array(values), [str(place) for place in range(len(values))], draws=draws, seed=seed)
