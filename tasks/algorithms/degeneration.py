"""Whether a model still speaks: blanks, loops and poverty of words in its completions."""

from collections.abc import Sequence


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
