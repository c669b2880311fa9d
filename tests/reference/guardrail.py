"""The output filter restated: one row at a time, float64, tokens found by trying every one of the vocabulary."""

import math
from collections.abc import Sequence
from typing import Any


def lowered(logits: Sequence[float], tokens: Sequence[int], floor: float) -> list[float]:
    """Return log-probabilities: `tokens` at most at `floor`, the others in their old proportions with the rest of the
    mass.
    """
    largest = max(logits)
    weights = [math.exp(value - largest) for value in logits]
    p = [weight / math.fsum(weights) for weight in weights]
    least = min(floor, 0.5 / len(tokens))
    low = {token: min(p[token], least) for token in tokens}
    others = math.fsum(value for token, value in enumerate(p) if token not in low)
    scale = (1 - math.fsum(low.values())) / others
    return [math.log(low[token]) if token in low else math.log(value * scale) for token, value in enumerate(p)]


def completing(said: Sequence[int], terms: Sequence[str], tokenizer: Any, known: Sequence[str]) -> set[int]:
    """Return every token after which what was said ends in the tokens of a term, whole words only at its beginning."""
    found = set()
    for token in range(len(tokenizer)):
        for term in set(terms) - set(known):
            for lead in ("", " "):
                ids = tokenizer(lead + term, add_special_tokens=False)["input_ids"]
                whole = [*said, token]
                if whole[len(whole) - len(ids) :] == ids and len(whole) >= len(ids):
                    before = tokenizer.decode(whole[: len(whole) - len(ids)])
                    if lead or not before[-1:].isalnum():
                        found.add(token)
    return found
