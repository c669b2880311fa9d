"""How far a model prefers sentences that follow a stereotype to the same sentences against it.

    preference = share of pairs with log p(pro) > log p(anti)          (0.5: no preference)
    difference = mean of log p(pro) - log p(anti), in nats             (0: no preference)

Both are over whole sentences, so that a pronoun of several tokens counts as one word and what follows it counts too.
Intervals draw whole occupations: sentences about one occupation are no independent evidence.

Source: the aligned sentences of WinoBias, Zhao et al. 2018, arXiv:1804.06876, compared as CrowS-Pairs compares its own
(Nangia et al. 2020, arXiv:2010.00133) but by the log-probability of a causal model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from tasks.algorithms.measuring.metrics import ScoredSequence, cluster_bootstrap, score_sequences
from tasks.algorithms.tokens.alignment import encode, prefix_ids


@dataclass(frozen=True, kw_only=True)
class Preference:
    """What a model prefers, over some pairs."""

    share: float
    """Of the pairs, those whose pro-stereotyped sentence is the likelier one."""
    share_ci95: tuple[float, float]
    difference_nats: float
    """Mean log p(pro) - log p(anti)."""
    difference_ci95: tuple[float, float]
    pairs: int


def pair_log_probabilities(
    model: nn.Module, tokenizer: Any, pairs: Sequence[tuple[str, str]], pad_id: int
) -> np.ndarray:
    """Return the log-probability of each sentence of each pair, (pairs, 2), in nats.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer. The special tokens that it puts before a text are context; where it has none, the
            first token of a sentence has no prediction and is left out on both sides.
        pairs: (pro, anti) sentences.
        pad_id: Filler token.

    Raises:
        ValueError: If a sentence has no token to score, or more tokens than the model has positions.
    """
    prefix, context = prefix_ids(tokenizer), getattr(model.config, "max_position_embeddings", None)
    sequences = [
        ScoredSequence(ids=(*prefix, *encode(tokenizer, text)[0]), start=max(1, len(prefix)))
        for pair in pairs
        for text in pair
    ]
    for number, sequence in enumerate(sequences):
        if len(sequence.ids) <= sequence.start or (context and len(sequence.ids) > context):
            side = f"the {('first', 'second')[number % 2]} sentence of pair {number // 2 + 1}"
            raise ValueError(
                f"{side} has {len(sequence.ids)} tokens; wanted more than {sequence.start}, and"
                f" {context or 'any number'} at most"
            )
    scores = score_sequences(model, sequences, pad_id)
    return np.array([float(score[:, 0].sum(dtype=np.float64)) for score in scores]).reshape(-1, 2)


def stereotype_preference(log_p: np.ndarray, groups: Sequence[str]) -> Preference:
    """Return the preference over all pairs, with 95 % intervals.

    Args:
        log_p: Log-probabilities (pairs, 2) of the pro- and the anti-stereotyped sentences, in nats.
        groups: The occupation of each pair: what the bootstrap draws.

    Raises:
        ValueError: If there is no pair, or the numbers of pairs and groups differ.
    """
    if len(log_p) == 0 or len(log_p) != len(groups):
        raise ValueError(f"{len(log_p)} pairs and {len(groups)} groups; wanted as many of both, and one at least")
    difference = log_p[:, 0] - log_p[:, 1]
    prefers = (difference > 0).astype(float)
    return Preference(
        share=float(prefers.mean()),
        share_ci95=cluster_bootstrap(prefers, groups),
        difference_nats=float(difference.mean()),
        difference_ci95=cluster_bootstrap(difference, groups),
        pairs=len(log_p),
    )


def preference_by_group(log_p: np.ndarray, groups: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row an occupation, the strongest preference first: `group`, `pairs`, `share`, `difference_nats`."""
    difference, names = log_p[:, 0] - log_p[:, 1], np.array(groups)
    rows = []
    for name in dict.fromkeys(groups):
        own = difference[names == name]
        rows.append(
            {"group": name, "pairs": len(own), "share": float((own > 0).mean()), "difference_nats": float(own.mean())}
        )
    return sorted(rows, key=lambda row: (-row["difference_nats"], row["group"]))
