"""Copied passages found the slow way: every run of words of a prompt looked for in the whole text."""

from collections.abc import Sequence


def copies(prompts: Sequence[str], texts: Sequence[str], size: int) -> set[str]:
    """Return the prompts of which `size` words in a row, or all words where there are fewer, stand in a text; words of
    letters and spaces only.
    """
    found = set()
    for prompt in prompts:
        words = prompt.lower().split()
        long = min(size, len(words))
        parts = [" ".join(words[start : start + long]) for start in range(len(words) - long + 1)]
        if any(f" {part} " in f" {' '.join(text.lower().split())} " for part in parts for text in texts):
            found.add(prompt)
    return found
