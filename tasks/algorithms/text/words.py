"""Words, and runs of capitalised words: where a capital letter means a name and not the beginning of a sentence."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

WORD = re.compile(r"(?:[DLO]['\u2019](?=[A-Z]))?[^\W\d_]+(?:-[^\W\d_]+)*")
"""A word; hyphens hold it together, and so does the apostrophe of O'Brien."""
HONORIFICS = frozenset({"mr", "mrs", "ms", "miss", "messrs", "dr", "mme", "mlle"})
"""Titles that tell nothing of their bearer: a name is the same without them."""
TITLES = HONORIFICS | frozenset(
    """
    aunt uncle king queen prince princess lord lady sir captain doctor professor master mistress brother sister
    father mother colonel major general inspector judge baron count duke duchess emperor empress saint old young little
    """.split()
)
"""Words that stand before the name of a person."""
_ABBREVIATED = frozenset(
    {"mr", "mrs", "ms", "messrs", "dr", "st", "prof", "rev", "hon", "capt", "col", "gen", "lt", "sgt"}
)
_GAP = re.compile(r"[ \u00a0]")
_ABBREVIATION_GAP = re.compile(r"\.[ \u00a0]?")
_SENTENCE_END = re.compile(r"[.!?:;\u2014\u201c\u201d\"'\u2018\u2019)(\]\[]\W*$|\n\W*$|^\W*$|--\W*$")
LINKS = frozenset({"of", "the", "de", "la", "von", "van"})
"""Short words that a name may hold, though not begin or end with."""


def count_words(texts: Iterable[str]) -> Counter[str]:
    """Return how often each lower-cased word occurs."""
    return Counter(match.group().lower() for text in texts for match in WORD.finditer(text))


def lowercase_words(texts: Iterable[str]) -> frozenset[str]:
    """Return the words that occur all in lower case: the ordinary vocabulary of these texts."""
    return frozenset(match.group() for text in texts for match in WORD.finditer(text) if match.group().islower())


def capitalised_runs(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each run of capitalised words and whether its capital may be that of a sentence.

    Short link words inside are allowed, and so is the full stop of `Mr. Holmes` and `J. Smith`: what begins with an
    abbreviated title is a name wherever it stands. All words are held at once: give long text in stretches.
    """
    words = list(WORD.finditer(text))
    index = 0
    while index < len(words):
        if not words[index].group()[0].isupper():
            index += 1
            continue
        opens, end = _opens_sentence(text, words[index].start()), _run_end(text, words, index)
        if opens and end > index + 2 and words[index + 1].group() == "the":
            end = index + 1  # "Then the Tin Woodman": the name begins after the article
        titled = words[index].group().lower() in _ABBREVIATED and end > index + 1
        yield text[words[index].start() : words[end - 1].end()], opens and not titled
        index = end


def _opens_sentence(text: str, at: int) -> bool:
    return bool(_SENTENCE_END.search(text[max(0, at - 12) : at]))


def _run_end(text: str, words: list[re.Match[str]], start: int) -> int:
    end = ahead = start + 1
    while ahead < len(words) and _joins(text, words[ahead - 1], words[ahead]):
        word = words[ahead].group()
        if word[0].isupper():
            end = ahead + 1
        elif word not in LINKS or ahead - end >= 2:
            break
        ahead += 1
    return end


def _joins(text: str, before: re.Match[str], after: re.Match[str]) -> bool:
    gap, word = text[before.end() : after.start()], before.group()
    if _GAP.fullmatch(gap):
        return True
    initial = len(word) == 1 and word.isupper() and word != "I"
    return (initial or word.lower() in _ABBREVIATED) and bool(_ABBREVIATION_GAP.fullmatch(gap))


def trim(term: str) -> str:
    """Cut possessive, leading article and honorific: the anchor is the name itself.

    Returns:
        The name; empty where nothing but a title is left.
    """
    term = re.sub(r"['\u2019]s?$", "", " ".join(term.split()))
    words = re.sub(r"^(?:The|An?|O|Oh|And|But)\s+(?=\w)", "", term).split(" ")
    while words and words[0].rstrip(".").lower() in HONORIFICS:
        words = words[1:]
    return " ".join(words)
