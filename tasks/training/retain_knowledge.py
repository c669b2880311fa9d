"""What the retain text alone tells of forget rows, as SCRUB asks for it: how far each token may be driven, and what is
expected in its place.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tasks.algorithms.tokens.trigrams import ORDER, Trigrams
from tasks.settings.scrub import ScrubConfig
from tasks.training.reference_rows import ReferenceRows


class RetainKnowledge:
    """Trigrams of the retain rows, asked about forget rows; nothing is counted where the settings ask for nothing."""

    def __init__(self, rows: ReferenceRows, config: ScrubConfig, vocabulary: int) -> None:
        """Count.

        Args:
            rows: Forget and retain rows.
            config: `surprisal_share` and `bound`, `expected_weight`.
            vocabulary: How many tokens there are.
        """
        self._rows, self._config = rows.rows("forget"), config
        if not config.surprisal_share and not config.expected_weight:
            return
        forget = (block.ids for block in self._rows)
        self._known = Trigrams(forget, rows.rows("retain"), vocabulary)

    def of(self, chosen: Sequence[int], device: torch.device) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return what a batch of some forget rows has beside its tensors, `bound_nats`, and its cached entries,
        `expected`; each where it is asked for.
        """
        tensors, cached = {}, {}
        if self._config.surprisal_share:
            bounds = [self._bounds(number) for number in chosen]
            tensors["bound_nats"] = pad_sequence(bounds, batch_first=True).to(device)
        if self._config.expected_weight:
            contexts = [context for number in chosen for context in self._contexts(number)]
            cached["expected"] = self._known.expected(contexts).to(device)
        return tensors, cached

    def _bounds(self, number: int) -> Tensor:
        """Return how many nats what each position of a row predicts may be driven; the last predicts nothing."""
        most = math.inf if self._config.bound is None else self._config.bound
        surprisals = torch.tensor([*self._known.surprisals(self._rows[number].ids)[1:], 0.0])
        return (self._config.surprisal_share * surprisals).clamp(max=most)

    def _contexts(self, number: int) -> list[tuple[int, ...]]:
        """Return what stands before each counted prediction of a row, as far back as trigrams look."""
        block = self._rows[number]
        return [
            tuple(block.ids[max(0, at + 2 - ORDER) : at + 1])
            for at in range(len(block.ids) - 1)
            if block.supervised[at]
        ]
