"""Some of many: evenly spaced, so that every file and topic has its share, or drawn."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def spaced(items: Sequence[T], most: int) -> list[T]:
    """Return at most `most` items, evenly spaced over all of them."""
    return list(items) if len(items) <= most else [items[number * len(items) // most] for number in range(most)]


def drawn(items: Sequence[T], most: int, draw: int) -> list[T]:
    """Return at most `most` items in their order: evenly spaced ones, or, where `draw` is not 0, those of the draw that
    has this number as its seed.
    """
    if not draw or len(items) <= most:
        return spaced(items, most)
    return [items[at] for at in sorted(random.Random(draw).sample(range(len(items)), most))]
