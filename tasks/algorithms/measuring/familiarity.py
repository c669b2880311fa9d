"""How much of a topic a model still knows, without a judge: the probability of its anchors where the true
text has one.
"""

from collections.abc import Sequence

import numpy as np

from tasks.algorithms.text.anchors import AnchorExpression
from tasks.algorithms.tokens.alignment import AnchorSpan


def anchor_probabilities(
    log_p: np.ndarray, start: int, spans: Sequence[AnchorSpan]
) -> list[tuple[float, float, float]]:
    """Return for every anchor the joint probability of all its tokens, of its first, and of the rest given the first.

    Args:
        log_p: Log-probabilities in nats of the scored tokens.
        start: Index of the first scored token in the block.
        spans: Anchors of the block, in tokens.

    Returns:
        One triple for each anchor that lies within the scored tokens; the third is NaN for anchors of one token.
    """
    log_p, probabilities = log_p.astype(np.float64), []
    for span in spans:
        if span.start < start or span.end - start > len(log_p):
            continue
        tokens = log_p[span.start - start : span.end - start]
        interior = float(np.exp(tokens[1:].sum())) if len(tokens) > 1 else float("nan")
        probabilities.append((float(np.exp(tokens.sum())), float(np.exp(tokens[0])), interior))
    return probabilities


def names_anchor(completion: str, prompt: str, expression: AnchorExpression) -> bool:
    """Return whether a completion holds an anchor that its prompt held in no spelling."""
    prompted = {anchor.term for anchor in expression.find(prompt)}
    return any(anchor.term not in prompted for anchor in expression.find(completion))
