"""Membership inference: can the tokens' statistics tell text that was trained on from text that was not?

Every attack scores a sequence from the four numbers that one forward pass stores a token; a higher score means more
like a member.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from tasks.algorithms.measuring.metrics import draw_clusters

K = 0.4
"""Share of the least likely tokens that Min-K looks at."""


def loss_score(tokens: np.ndarray, zlib_bytes: int) -> float:
    """Return the mean log-probability a token (LOSS; Yeom et al. 2018, arXiv:1709.01604).

    Args:
        tokens: (tokens, 4), see `metrics.token_statistics`.
        zlib_bytes: Length of the compressed text, in bytes; unused here.
    """
    return float(tokens[:, 0].mean(dtype=np.float64))


def zlib_score(tokens: np.ndarray, zlib_bytes: int) -> float:
    """Return the log-probability of the text over its compressed length (Carlini et al. 2021, arXiv:2012.07805)."""
    return float(tokens[:, 0].sum(dtype=np.float64)) / zlib_bytes


def min_k_score(tokens: np.ndarray, zlib_bytes: int) -> float:
    """Return the mean log-probability of the least likely 40 % of the tokens (Shi et al. 2024, arXiv:2310.16789)."""
    return _mean_of_least(tokens[:, 0].astype(np.float64))


def min_k_plus_plus_score(tokens: np.ndarray, zlib_bytes: int) -> float:
    """Return Min-K of log-probabilities standardised by the model's own distribution there (Zhang et al. 2024,
    arXiv:2404.02936).

    Where the distribution has no spread the token was certain or uniform, and the difference from the mean is 0 too.
    """
    log_p, _, mean, deviation = tokens.astype(np.float64).T
    return _mean_of_least((log_p - mean) / np.maximum(deviation, 1e-6))


def _mean_of_least(values: np.ndarray) -> float:
    return float(np.sort(values)[: max(1, math.floor(K * len(values)))].mean())


ATTACKS: dict[str, Callable[[np.ndarray, int], float]] = {
    "loss": loss_score,
    "zlib": zlib_score,
    "min_k": min_k_score,
    "min_k_plus_plus": min_k_plus_plus_score,
}
"""Name -> score of a sequence."""


def auc(members: np.ndarray, others: np.ndarray) -> float:
    """Return the area under the ROC curve: how often a random member scores above a random other; ties count half."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(np.repeat([1, 0], [len(members), len(others)]), np.concatenate([members, others])))


def auc_interval(
    members: np.ndarray,
    others: np.ndarray,
    member_clusters: Sequence[str],
    other_clusters: Sequence[str],
    *,
    draws: int = 500,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a 95 % percentile interval of the AUC, whole clusters drawn on either side.

    The AUC of a draw is Mann and Whitney's U over the number of pairs: what `auc` returns, in a quarter of its time.
    """
    from scipy.stats import mannwhitneyu

    rng = np.random.default_rng(seed)
    resamples = zip(draw_clusters(member_clusters, draws, rng), draw_clusters(other_clusters, draws, rng), strict=True)
    aucs = [
        mannwhitneyu(members[member_rows], others[other_rows], method="asymptotic").statistic
        / (len(member_rows) * len(other_rows))
        for member_rows, other_rows in resamples
    ]
    low, high = np.percentile(aucs, [2.5, 97.5])
    return float(low), float(high)


def privleak(unlearned: float, retrained: float) -> float:
    """Return how far an AUC is from the retrained model's, in percent of it (MUSE, arXiv:2407.06460).

    Above 0 the forget text still looks like a member, below 0 like something that was suppressed.

    Raises:
        ValueError: If the retrained model's is 0: no share of it can be taken.
    """
    if not retrained:
        raise ValueError("the retrained model's AUC is 0; wanted one above it, to take a share of")
    return (unlearned - retrained) / retrained * 100
