"""Retain items of a training run: which are shown in each step, and which are held out for validation."""

from collections.abc import Sequence
from itertools import accumulate

from tasks.algorithms.text.spacing import spaced
from tasks.algorithms.training.loop import held_back, shuffled


class Rounds:
    """Items that come round in a fresh order each time, beside those held out: spaced evenly, so that every file and
    topic has its share.
    """

    def __init__(self, kinds: Sequence[int], held_share: float, batch: int, seed: int) -> None:
        """Divide items, by number: those of each kind, so many, after those of the kinds before it. `held_share` of
        every kind are held out, see `held_back`, and a step shows `batch` of the others, or all.
        """
        ends = list(accumulate(kinds))
        of_kind = [range(end - items, end) for items, end in zip(kinds, ends, strict=True)]
        self.held = [number for items in of_kind for number in spaced(items, held_back(len(items), held_share))]
        """Items that are never shown."""
        held_items = set(self.held)
        self._shown = [number for items in of_kind for number in items if number not in held_items]
        self._size, self._seed = min(batch, len(self._shown)), seed

    def at(self, step: int) -> list[int]:
        """Return the items of a step, from 0; every one comes round before any comes twice."""
        return [self._item(step * self._size + slot) for slot in range(self._size)]

    def _item(self, number: int) -> int:
        epoch, slot = divmod(number, len(self._shown))
        return self._shown[shuffled(len(self._shown), self._seed, epoch)[slot]]
