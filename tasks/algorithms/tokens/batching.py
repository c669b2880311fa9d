"""Sequences to batches: padded, of like length, and few enough rows of logits at a time."""

from collections.abc import Sequence

import torch
from torch import Tensor

CHUNK_ELEMENTS = 2**19
"""Logits that exist at one time on a CPU: 2 MB in float32."""


def pad_batch(
    blocks: Sequence[Sequence[int] | Tensor], pad_id: int, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Pad token blocks on the right.

    Args:
        blocks: Token ids, none empty.
        pad_id: Filler; it is masked by length, never by value, so it may equal a real token.
        device: Where the result goes.

    Returns:
        Token ids and attention mask, both of shape (batch, seq), int64.
    """
    width = max(len(block) for block in blocks)
    ids = torch.full((len(blocks), width), pad_id, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, block in enumerate(blocks):
        ids[row, : len(block)] = torch.as_tensor(block, dtype=torch.long)
        mask[row, : len(block)] = 1
    return ids.to(device), mask.to(device)


def row_chunks(rows: int, vocab: int, device: torch.device | str = "cpu") -> list[slice]:
    """Return slices that cover `rows` rows of logits, few enough at a time to stay in the processor's cache (or to fill
    an accelerator).
    """
    size = max(1, (CHUNK_ELEMENTS if torch.device(device).type == "cpu" else 32 * CHUNK_ELEMENTS) // vocab)
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def length_batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Group indices into batches of like length, at most `batch_tokens` padded tokens each (at least one item)."""
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= batch_tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches
