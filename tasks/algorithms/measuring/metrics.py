"""Token metrics: one forward pass a split stores four numbers a token, and every figure below is arithmetic on them.

The arithmetic stays in nats up to the figure itself, so that it holds for any finite logits: a model that training
drove away puts tokens hundreds of nats apart, where a ratio of probabilities is no longer a number.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tasks.algorithms.models.heads import apply_head, output_head, output_size, scored_hidden
from tasks.algorithms.shapes import Float, Int
from tasks.algorithms.tokens.batching import length_batches, pad_batch, row_chunks

MOST_NATS = 690.0
"""e to this power, 1e299.7, is the largest figure; what lies beyond it is shown as it, and said to be beyond it."""


def bounded_exp(nats: float) -> float:
    """Return e^nats, at most e^`MOST_NATS`: a perplexity is finite however surprised a model is."""
    return math.exp(min(nats, MOST_NATS))


def log_mean_exp(nats: Float[Tensor, " items"]) -> float:
    """Return the logarithm of the mean of e^nats, in nats; what has no probability counts as the least number."""
    least = torch.finfo(torch.float64).min
    return float(nats.double().clamp_min(least).logsumexp(0)) - math.log(len(nats))


@dataclass(frozen=True, kw_only=True)
class ScoredSequence:
    """Tokens of which those from `start` on are scored; those before are context."""

    ids: tuple[int, ...]
    start: int
    """First scored token, >= 1: the first token of all has no prediction."""


def token_statistics(logits: Float[Tensor, "rows vocab"], targets: Int[Tensor, " rows"]) -> Float[Tensor, "rows 4"]:
    """Return per row: log-probability of the target (nats), argmax hit (0 or 1), and mean and standard deviation of the
    log-probability over the vocabulary under the model's own distribution (what Min-K++ needs), all float32.

    The deviation is computed around the mean, not as a difference of squares, which cancels in low precision. Tokens
    without any probability have no part in either, and their log-probability is the least number, never minus infinity.
    """
    logits = logits.float()
    log_p = logits.log_softmax(-1)
    p = log_p.exp()
    mean = torch.where(p > 0, p * log_p, 0.0).sum(-1, keepdim=True)
    deviation = torch.where(p > 0, p * (log_p - mean).square(), 0.0).sum(-1).sqrt()
    log_p = torch.where(logits.isfinite(), log_p.clamp_min(torch.finfo(torch.float32).min), log_p)
    chosen = log_p.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    hit = (logits.argmax(-1) == targets).float()
    return torch.stack([chosen, hit, mean.squeeze(-1), deviation], dim=-1)


@torch.no_grad()
def score_sequences(
    model: nn.Module,
    sequences: Sequence[ScoredSequence],
    pad_id: int,
    batch_tokens: int = 16384,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> list[np.ndarray]:
    """Run the model once over every sequence and keep the statistics of the scored tokens.

    Args:
        model: A causal language model.
        sequences: What to score.
        pad_id: Filler token.
        batch_tokens: Padded tokens in one forward pass.
        on_step: Called with the sequences done and their total.

    Returns:
        For each sequence an array (scored tokens, 4), see `token_statistics`.

    Raises:
        ValueError: If a log-probability is not a number.
    """
    device, results, done = next(model.parameters()).device, [np.empty((0, 4), np.float32)] * len(sequences), 0
    for batch in length_batches([len(sequence.ids) for sequence in sequences], batch_tokens):
        ids, mask = pad_batch([sequences[index].ids for index in batch], pad_id, device)
        rows = [
            (slot, at - 1)
            for slot, index in enumerate(batch)
            for at in range(sequences[index].start, len(sequences[index].ids))
        ]
        where = torch.tensor(rows, dtype=torch.long, device=device).reshape(-1, 2)
        hidden = scored_hidden(model, ids, mask, [sequences[index].start for index in batch])[where[:, 0], where[:, 1]]
        targets = ids[where[:, 0], where[:, 1] + 1]
        head = output_head(model)
        chunks = row_chunks(len(hidden), output_size(head, hidden), device)
        statistics = [token_statistics(apply_head(head, hidden[chunk]), targets[chunk]) for chunk in chunks]
        table = torch.cat(statistics).cpu().numpy() if statistics else np.empty((0, 4), np.float32)
        if np.isnan(table).any():
            raise ValueError("the model's log-probabilities are not numbers (NaN); wanted finite logits")
        counts = [len(sequences[index].ids) - sequences[index].start for index in batch]
        for index, part in zip(batch, np.split(table, np.cumsum(counts)[:-1]), strict=True):
            results[index] = part
        done += len(batch)
        on_step(done, len(sequences))
    return results


def answer_probability(log_p: np.ndarray) -> float:
    """Return exp of the mean log-probability: the geometric mean of the token probabilities."""
    return float(np.exp(log_p.mean(dtype=np.float64)))


def log_truth_ratio(true: float, false: Sequence[float], *, mean: str = "geometric") -> float:
    """Return log R in nats, R = mean_i q(false_i) / q(true), with q the length-normalised probability of an answer.

    Args:
        true: Mean log-probability a token of the true (paraphrased) answer, in nats.
        false: The same of each false answer.
        mean: Over i: `geometric`, as open-unlearning computes it, or `arithmetic`, as TOFU's paper writes it.

    Source:
        Maini et al. 2024, TOFU, arXiv:2401.06121.
    """
    nats = np.asarray(false, dtype=np.float64)
    pooled = nats.mean() if mean == "geometric" else np.logaddexp.reduce(nats) - math.log(len(nats))
    return float(pooled) - true


def truth_ratio_score(log_ratio: float, *, forget: bool) -> float:
    """Turn log R, in nats, into a score: min(R, 1/R) where it is to be forgotten, max(0, 1 - R) where it is to be
    kept.
    """
    return math.exp(-abs(log_ratio)) if forget else max(0.0, -math.expm1(min(log_ratio, 0.0)))


def extraction_strength(hits: np.ndarray) -> float:
    """Return 1 - k/n, k the smallest index from which on every greedy token is right; 0 when even the last one is
    wrong.
    """
    wrong = np.flatnonzero(hits == 0)
    first = 0 if len(wrong) == 0 else int(wrong[-1]) + 1
    return 1 - first / len(hits)


def cluster_bootstrap(
    values: np.ndarray,
    clusters: Sequence[str],
    *,
    weights: np.ndarray | None = None,
    statistic: Callable[[float], float] = float,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a 95 % percentile interval of `statistic(mean)`, drawing whole clusters.

    By hand: neither `scipy.stats` nor scikit-learn draws whole clusters.

    Args:
        values: One number an item.
        clusters: The cluster (the fact asked for) of each item.
        weights: Weight of each item in the mean, such as the tokens of a window; none: all alike.
        statistic: A monotonic function of the mean, such as `exp` for a perplexity.
        draws: Bootstrap samples.
        seed: Seed of the draws.
    """
    groups: Mapping[str, int] = {name: index for index, name in enumerate(dict.fromkeys(clusters))}
    cluster_of_item = np.array([groups[name] for name in clusters])
    weights = np.ones(len(values)) if weights is None else weights
    sums, counts = np.bincount(cluster_of_item, weights=values * weights), np.bincount(cluster_of_item, weights=weights)
    picks = np.random.default_rng(seed).integers(0, len(groups), size=(draws, len(groups)))
    means = sums[picks].sum(1) / counts[picks].sum(1)
    low, high = sorted(statistic(float(end)) for end in np.percentile(means, [2.5, 97.5]))
    return low, high


def draw_clusters(clusters: Sequence[str], draws: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return for every bootstrap draw the indices of the items whose clusters were drawn; no library draws clusters."""
    names = list(dict.fromkeys(clusters))
    members = {name: [] for name in names}
    for index, name in enumerate(clusters):
        members[name].append(index)
    groups = [np.array(members[name]) for name in names]
    return [
        np.concatenate([groups[pick] for pick in rng.integers(0, len(groups), size=len(groups))]) for _ in range(draws)
    ]
