"""SCRUB restated in float64: one sequence, one position, one vocabulary entry at a time (arXiv:2302.09880; METHODS,
section 3).
"""

import math

from tests.reference.labels import log_softmax
from tests.reference.losses import kl


def softened_kl(reference_row, model_row, temperature: float) -> float:
    """T^2 KL(softmax(reference / T) || softmax(model / T)) of two rows of logits."""
    return temperature**2 * kl(log_softmax(reference_row / temperature), log_softmax(model_row / temperature))


def divergence(
    reference, model, supervised, temperature: float = 1.0, bound: float | None = None, bounds=None
) -> float:
    """d over sequences: each is logits (length, vocab) of both models and flags (length); the last position predicts
    nothing. Clipped at `bound`, or drawn back to `bounds` (length) of each sequence.

    Mean over a sequence's counted positions, then over the sequences that have any.
    """
    means = []
    for number, (reference_logits, model_logits, flags) in enumerate(zip(reference, model, supervised, strict=True)):
        found = []
        for at in range(len(flags) - 1):
            if flags[at]:
                nats = softened_kl(reference_logits[at], model_logits[at], temperature)
                if bounds is not None:
                    beyond = nats - bounds[number][at]
                    nats = bounds[number][at] - beyond if beyond > 0 else nats
                elif bound is not None and nats > bound:
                    nats = bound
                found.append(nats)
        if found:
            means.append(math.fsum(found) / len(found))
    return math.fsum(means) / len(means) if means else 0.0


def cross_entropy(logits, sequences, supervised) -> float:
    """The mean over counted positions of all sequences of -log p(next token)."""
    found = []
    for rows, ids, flags in zip(logits, sequences, supervised, strict=True):
        found += [-log_softmax(rows[at])[ids[at + 1]] for at in range(len(ids) - 1) if flags[at]]
    return math.fsum(found) / len(found)


def pretended_steps(forget: int, retain: int, size: int, epochs: int, max_epochs: int) -> list[tuple[int, str, int]]:
    """(epoch, kind, sequences) of every step of the original schedule, by walking it."""
    steps = []
    for epoch in range(epochs):
        for kind, items in (("max", forget), ("min", retain)):
            if kind == "max" and epoch >= max_epochs:
                continue
            left = items
            while left > 0:
                steps.append((epoch, kind, min(size, left)))
                left -= size
    return steps
