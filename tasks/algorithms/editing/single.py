"""Edits that each stand alone: what every one of them would do to the same model, as published evaluations ask."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from tasks.algorithms.editing.contexts import rewrites_of
from tasks.algorithms.editing.rome import Update, find_values, rank_one
from tasks.settings.edit_request import EditRequest
from tasks.settings.rank_one_editing import EditConfig


def single_updates(
    model: nn.Module,
    tokenizer: Any,
    requests: Sequence[EditRequest],
    layer: int,
    solve: Callable[[Tensor], Tensor],
    config: EditConfig,
) -> Iterator[tuple[Update, float, float]]:
    """Yield for each request the update that it would be on the model as it is, the loss of its target in nats a token,
    and the seconds that it took; v* of `config.batch` of them are found at once.

    Args:
        model: A causal language model of a known type; what the caller does to its weights between two of these it is
            to undo.
        tokenizer: Its tokenizer.
        requests: The edits.
        layer: The edited layer.
        solve: x -> C^-1 x of that layer.
        config: How.
    """
    started = time.perf_counter()
    rewrites = rewrites_of(model, tokenizer, requests, config)
    shared = (time.perf_counter() - started) / len(requests)
    for first in range(0, len(rewrites), config.batch):
        batch = rewrites[first : first + config.batch]
        started = time.perf_counter()
        values = find_values(model, batch, layer, config)
        updates = [rank_one(value, layer, solve, config.keys) for value in values]
        seconds = shared + (time.perf_counter() - started) / len(batch)
        for value, update in zip(values, updates, strict=True):
            yield update, value.nats, seconds
