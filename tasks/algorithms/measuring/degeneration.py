"""Degeneration of a model's completions: empty ones, repetition, few distinct words, leaked strings.

Where words are not spaced, letters are counted in their place: see `scripts.spoken_units`.
"""

import re
from collections.abc import Container, Iterable, Sequence
from itertools import pairwise

from tasks.algorithms.text.scripts import is_unspaced, spoken_units

LONGEST_LOOP = 8
"""Letters of a loop that is looked for where words are not spaced: two or three words."""


def empty_share(completions: Sequence[str]) -> float:
    """Return the share of completions without a letter or digit."""
    return sum(not any(letter.isalnum() for letter in text) for text in completions) / len(completions)


def distinct_2(completions: Sequence[str]) -> float:
    """Return distinct word pairs over all word pairs of all completions, 0 to 1; 0 where there is no pair.

    Source: Li et al. 2016, arXiv:1510.03055.
    """
    counted = [spoken_units(text) for text in completions]
    pairs = [pair for units in counted for pair in pairwise(units)]
    return len(set(pairs)) / len(pairs) if pairs else 0.0


def repetition(completions: Sequence[str]) -> float:
    """Return the mean share of words in a completion that repeat the word before or continue a loop of two; where
    words are not spaced, of letters that end a stretch which stood before it too.
    """
    return sum(map(_repeated, completions)) / len(completions)


def _repeated(text: str) -> float:
    units = spoken_units(text)
    if len(units) < 3:
        return 0.0
    spaced = 2 * sum(map(is_unspaced, units)) <= len(units)
    return sum(_continues(units, at, spaced) for at in range(2, len(units))) / (len(units) - 2)


def _continues(units: list[str], at: int, spaced: bool) -> bool:
    """A letter comes again for many reasons, a stretch of several hardly by chance."""
    if spaced:
        return units[at] in (units[at - 1], units[at - 2])
    end = at + 1
    return any(
        units[end - size : end] == units[end - 2 * size : end - size]
        for size in range(1, min(LONGEST_LOOP, end // 2) + 1)
    )


_ADDRESS = re.compile(
    r"(?:https?://|www\.)\S+|\b[\w.+-]+@[\w-]+\.[\w.]+\b|\b[\w-]+\.(?:com|org|net|edu|gov|info|io|co\.uk)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\+?\d[\d ()./-]{4,}\d")
_NAME = re.compile(r"\b[A-Z][a-z]+(?: [A-Z][a-z]+)+\b")
_WORD = re.compile(r"\w+")


def leaked_strings(completion: str, prompt: str, known_pieces: Container[str]) -> list[str]:
    """Return addresses, long numbers and names of several words that are in neither the prompt nor the given texts.

    What a model says out of itself and nobody gave it comes from what it was trained on: models broken by unlearning
    were seen to answer with strangers' names and web addresses. A name is given when all of its words are.

    Args:
        completion: What the model added.
        prompt: What was asked.
        known_pieces: `pieces` of every text that the user gave.
    """
    prompt_pieces = pieces([prompt])
    spots = [match.group().strip() for pattern in (_ADDRESS, _NUMBER) for match in pattern.finditer(completion)]
    names = [match.group() for match in _NAME.finditer(completion)]
    return [spot for spot in spots if spot not in known_pieces and spot not in prompt_pieces] + [
        name for name in names if any(word not in known_pieces and word not in prompt_pieces for word in name.split())
    ]


def pieces(texts: Iterable[str]) -> frozenset[str]:
    """Return the words, addresses and numbers of texts."""
    return frozenset(
        match.group().strip()
        for text in texts
        for pattern in (_WORD, _ADDRESS, _NUMBER)
        for match in pattern.finditer(text)
    )
