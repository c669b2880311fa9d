"""Degeneration of a model's completions: empty ones, repetition, few distinct words, leaked strings."""

import re
from collections.abc import Container, Iterable, Sequence


def empty_share(completions: Sequence[str]) -> float:
    """Return the share of completions without a letter or digit."""
    return sum(not any(letter.isalnum() for letter in text) for text in completions) / len(completions)


def distinct_2(completions: Sequence[str]) -> float:
    """Return distinct word pairs over all word pairs of all completions, 0 to 1; 0 where there is no pair.

    Source: Li et al. 2016, arXiv:1510.03055.
    """
    pairs = [pair for text in completions for pair in zip(text.split(), text.split()[1:], strict=False)]
    return len(set(pairs)) / len(pairs) if pairs else 0.0


def repetition(completions: Sequence[str]) -> float:
    """Return the mean share of words in a completion that repeat the word before or continue a loop of two."""
    return sum(_looped(text.split()) for text in completions) / len(completions)


def _looped(words: list[str]) -> float:
    if len(words) < 3:
        return 0.0
    return sum(words[at] in (words[at - 1], words[at - 2]) for at in range(2, len(words))) / (len(words) - 2)


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
