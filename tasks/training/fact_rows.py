"""The text of the fact world as rows of tokens, with what training hides of the subjects."""

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from tasks.algorithms.training.loop import Batch
from tasks.algorithms.world.fact_text import FactText, Passage
from tasks.settings.fact_model import FactModelConfig

TOGETHER = 4
"""Documents that are turned into tokens at once."""


class FactRows(Sequence[Batch]):
    """All batches of a run, by index: rows of whole documents, the last one cut, so that nothing is padding.

    A row is a function of seed and number alone, so that a run that goes on reads what it would have read.
    """

    def __init__(self, text: FactText, tokenizer: Any, config: FactModelConfig, device: torch.device) -> None:
        """Read from `text`."""
        self._text, self._tokenizer, self._config, self._device = text, tokenizer, config, device

    def __len__(self) -> int:
        return self._config.steps * self._config.accumulation

    def __getitem__(self, index: int) -> Batch:
        if not 0 <= index < len(self):
            raise IndexError(f"there is no batch {index}; wanted 0 to {len(self) - 1}")
        size, length = self._config.batch_blocks, self._config.row_tokens
        tokens = [list(itertools.islice(self._tokens(row), length)) for row in range(index * size, (index + 1) * size)]
        ids, mention, hidden, told = torch.tensor(tokens, device=self._device).unbind(-1)
        return Batch(
            tensors={
                "ids": ids,
                "mask": torch.ones_like(ids),
                "mention": mention,
                "hidden": hidden.bool(),
                "weights": torch.where(told.bool(), self._config.object_weight, 1.0),
            },
            cached={},
            weight=float(size * (length - 1)),
        )

    def _tokens(self, row: int) -> Iterator[tuple[int, int, bool, bool]]:
        """Give, without end, each token of a row, the mention that it belongs to (0: none), whether it is hidden from
        what follows, and whether it is of a fact's object.
        """
        rng, mentions = random.Random(f"{self._config.seed} {row}"), itertools.count(1)
        for first in itertools.count(row * self._config.row_tokens, TOGETHER):  # no row has as many documents as tokens
            passages = [self._text.document(first + at, self._config.seed) for at in range(TOGETHER)]
            texts = [passage.text for passage in passages]
            encoded = self._tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
            for passage, ids, offsets in zip(passages, encoded["input_ids"], encoded["offset_mapping"], strict=True):
                yield from zip(ids, *self._marked(passage, offsets, mentions, rng), strict=True)
                yield self._tokenizer.eos_token_id, 0, False, False

    def _marked(
        self, passage: Passage, offsets: Sequence[tuple[int, int]], mentions: Iterator[int], rng: random.Random
    ) -> tuple[list[int], list[bool], list[bool]]:
        """Return each token's mention, whether it is hidden (all of a mention but its last token, or none), and whether
        it is of an object.
        """
        numbers, hidden, told = [0] * len(offsets), [False] * len(offsets), [False] * len(offsets)
        for start, end in span_tokens(passage.objects, offsets):
            told[start:end] = [True] * (end - start)
        for start, end in span_tokens(passage.mentions, offsets):
            numbers[start:end] = [next(mentions)] * (end - start)
            if rng.random() < self._config.mask_share:
                hidden[start : end - 1] = [True] * (end - 1 - start)
        return numbers, hidden, told


def span_tokens(spans: Sequence[tuple[int, int]], offsets: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the tokens [start, end) of every span of characters [start, end): those that have a character of it.

    Args:
        spans: Of a document.
        offsets: Characters [start, end) of each of its tokens.
    """
    return [
        (
            next(at for at, (_, end) in enumerate(offsets) if end > first),
            next(len(offsets) - at for at, (start, _) in enumerate(reversed(offsets)) if start < last),
        )
        for first, last in spans
    ]
