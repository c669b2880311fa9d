"""Toxicity restated: one text at a time, no padding, float64, and the summary from sorted scores."""

import math
from typing import Any

import torch


def score(model: Any, tokenizer: Any, text: str, label: int, most: int) -> float:
    """Return the softmax probability of a label for one text cut to `most` tokens, the closing one kept."""
    ids = tokenizer(text)["input_ids"]
    ids = ids if len(ids) <= most else [*ids[: most - 1], ids[-1]]
    with torch.no_grad():
        logits = model.double()(input_ids=torch.tensor([ids])).logits[0].tolist()
    model.float()
    total = sum(math.exp(value - max(logits)) for value in logits)
    return math.exp(logits[label] - max(logits)) / total


def summary(scores: list[float]) -> dict[str, float]:
    """Return least, most, mean and share above one half."""
    ordered, above = sorted(scores), 0
    for value in ordered:
        above += 1 if value > 0.5 else 0
    return {
        "min": ordered[0],
        "max": ordered[-1],
        "mean": math.fsum(ordered) / len(ordered),
        "ratio_over_0.5": above / len(ordered),
    }
