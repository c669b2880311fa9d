"""Some of many, evenly spaced, so that every file and topic has its share."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def spaced(items: Sequence[T], most: int) -> list[T]:
    """Return at most `most` items, evenly spaced over all of them."""
    return list(items) if len(items) <= most else [items[number * len(items) // most] for number in range(most)]
