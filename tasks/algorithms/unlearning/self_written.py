"""Text that a model writes when nobody asks it anything: what it has learned, in about the shares in which it learned
it. Where a topic is to be left out, pieces that name it are thrown away.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from tasks.algorithms.text.anchors import AnchorExpression
from tasks.algorithms.tokens.alignment import prefix_ids

AT_ONCE = 32
"""Pieces that are written side by side."""


class Piece(NamedTuple):
    """What a model wrote in one go."""

    text: str
    tokens: int


def beginnings(tokenizer: Any, separator: int | None, number: int, generator: torch.Generator) -> list[tuple[int, ...]]:
    """Return the first tokens of pieces: what the tokenizer puts before a text, else what stands between texts; with a
    tokenizer that has neither, any token of its vocabulary, drawn anew for each piece.
    """
    first = prefix_ids(tokenizer) or (() if separator is None else (separator,))
    if first:
        return [first] * number
    return [(int(token),) for token in torch.randint(len(tokenizer), (number,), generator=generator)]


@torch.no_grad()
def write_pieces(
    model: nn.Module, tokenizer: Any, separator: int | None, pad_id: int, size: int, seed: int
) -> Iterator[list[Piece]]:
    """Yield pieces of text without end, `AT_ONCE` at a time, sampled from the model's own distribution.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer.
        separator: Token between documents, where there is one.
        pad_id: Filler.
        size: Tokens of a piece at most, its beginning among them; more than that has.
        seed: Of all draws; the caller's random numbers stay as they were.
    """
    number = 0
    while True:
        drawn = torch.Generator().manual_seed(seed * 1_000_003 + number)
        rows = torch.tensor(beginnings(tokenizer, separator, AT_ONCE, drawn), device=model.device)
        with torch.random.fork_rng([model.device] if model.device.type == "cuda" else []):
            torch.manual_seed(seed * 1_000_003 + number)
            written = model.generate(
                input_ids=rows,
                attention_mask=torch.ones_like(rows),
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                repetition_penalty=1.0,
                max_new_tokens=size - rows.shape[1],
                pad_token_id=pad_id,
                use_cache=True,
            )
        ends = _ends(model, separator)
        yield [_piece(tokenizer, row, ends) for row in written[:, rows.shape[1] :].tolist()]
        number += 1


def screened(pieces: Sequence[Piece], expression: AnchorExpression) -> list[Piece]:
    """Return the pieces that hold something and none of the anchors."""
    return [piece for piece in pieces if piece.text and not expression.occurs_in(piece.text)]


def _ends(model: nn.Module, separator: int | None) -> set[int]:
    """Return the tokens at which generation stops, and filler follows."""
    own = model.generation_config.eos_token_id
    return {token for token in (separator, *(own if isinstance(own, list) else [own])) if token is not None}


def _piece(tokenizer: Any, row: Sequence[int], ends: set[int]) -> Piece:
    end = next((at for at, token in enumerate(row) if token in ends), len(row))
    return Piece(tokenizer.decode(row[:end], skip_special_tokens=True).strip(), end)
