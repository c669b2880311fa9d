"""How large a model its config.json describes: one that its weights cannot fill is refused, since layers are built one
by one before any weight is read.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tasks.artifacts import BadInputError

PARTS = ("layer", "layers", "block", "blocks", "expert", "experts")
"""Last words of fields that count what is built one by one."""
FEW = 1024
"""Parts that take no time, whatever the weights hold."""
DEEPEST = 3
"""Levels of nested configs that are looked at."""


def require_buildable(config: Mapping[str, Any], tensors: int, given: str) -> None:
    """Refuse a config that counts more layers than the weights have tensors.

    Args:
        config: What config.json says.
        tensors: Tensors in the weights.
        given: What to call the model in messages.

    Raises:
        BadInputError: With the field and both numbers.
    """
    for name, count in _counts(config):
        if count > max(FEW, tensors):
            raise BadInputError(
                f"{given}: config.json says {name} is {min(count, 10**300):.3g}, and the weights hold {tensors}"
                " tensors; wanted the config of these weights"
            )


def _counts(config: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, int]]:
    for name, value in config.items():
        if isinstance(value, dict) and depth < DEEPEST:
            yield from _counts(value, depth + 1)
        elif isinstance(value, int) and name.rpartition("_")[2] in PARTS:
            yield name, value
