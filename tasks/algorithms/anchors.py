"""Anchor terms: which words belong to the text that is to be forgotten, and where they stand.

Two sources are united. Named entities come from a spaCy pipeline (the task runs it; this module only counts what it found).
Distinctive terms are word runs that the forget text uses and ordinary text does not, by the log-odds ratio with an informative
Dirichlet prior (Monroe, Colaresi & Quinn 2008, "Fightin' Words", eq. 22):

    delta_w = log (y_w + a_w) / (n + a_0 - y_w - a_w)  -  log (b_w + a_w) / (m + a_0 - b_w - a_w)
    z_w     = delta_w / sqrt(1 / (y_w + a_w) + 1 / (b_w + a_w))

with y, b the counts in the forget and the background text, n, m their sums, and a_w the prior from both together.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_RUN_GAP = re.compile(r"[ \u00a0]")
_SENTENCE_END = re.compile(r"[.!?:;\u2014\u201c\u201d\"'\u2018\u2019)(\]\[]\W*$|\n\W*$|^\W*$|--\W*$")
_CONTRACTION = re.compile(r"['\u2019](?:m|d|t|re|ve|ll)\b")
_LINKS = frozenset({"of", "the", "de", "la", "von", "van"})


@dataclass(frozen=True, kw_only=True)
class AnchorConfig:
    """Which terms of the forget text become anchors."""

    pipeline: str = "auto"
    """spaCy pipeline: a name or folder; `auto` takes en_core_web_sm where it is installed, else the project's own."""
    min_count: int = 3
    """Occurrences that a term needs in the forget text, >= 1."""
    min_log_odds_z: float = 1.0
    """z-score of the log-odds against the background that a term needs, in standard deviations."""
    max_anchors: int = 1500
    """Anchors kept, the most frequent first; >= 1. The paper's dictionary for seven novels holds about 1,500."""

    def __post_init__(self) -> None:
        for name in ("min_count", "max_anchors"):
            if getattr(self, name) < 1:
                raise ValueError(f"anchors.{name} is {getattr(self, name)}; wanted a whole number >= 1")


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """One anchor term as it is written in the forget text."""

    term: str
    kind: str
    """PERSON, PLACE, GROUP or THING."""
    count: int
    log_odds_z: float
    origin: str
    """`entity`, `log-odds`, both joined by `+`, or `user`."""


def count_words(texts: Iterable[str]) -> Counter[str]:
    """Return how often each lower-cased word occurs."""
    return Counter(match.group().lower() for text in texts for match in _WORD.finditer(text))


def lowercase_words(texts: Iterable[str]) -> frozenset[str]:
    """Return the words that occur all in lower case: the ordinary vocabulary of these texts."""
    return frozenset(match.group() for text in texts for match in _WORD.finditer(text) if match.group().islower())


def log_odds_z(forget: Mapping[str, int], background: Mapping[str, int]) -> dict[str, float]:
    """Score how much more the forget text uses each word than the background does.

    Args:
        forget: Word -> occurrences in the forget text.
        background: The same for ordinary text; may be empty.

    Returns:
        Word -> z-score in standard deviations, for every word of `forget`; positive: typical of the forget text.

    Source:
        Monroe, Colaresi & Quinn 2008, eq. 22, prior = pooled counts scaled to one hundredth plus 0.01.
        Deviation: the prior is pooled from both texts instead of a third one, since none is at hand.
    """
    n, m = sum(forget.values()), sum(background.values())
    prior = {word: 0.01 * (count + background.get(word, 0)) + 0.01 for word, count in forget.items()}
    a0 = 0.01 * (n + m) + 0.01 * len(forget)
    return {word: _z(count, n, background.get(word, 0), m, prior[word], a0) for word, count in forget.items()}


def _z(y: int, n: int, b: int, m: int, a: float, a0: float) -> float:
    delta = _log_odds(y + a, n + a0) - _log_odds(b + a, m + a0)
    return delta / math.sqrt(1 / (y + a) + 1 / (b + a))


def _log_odds(part: float, whole: float) -> float:
    """A text of a single word leaves nothing beside it; the least prior stands in."""
    return math.log(part / max(whole - part, 0.01))


def capitalised_runs(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each run of capitalised words (short link words inside allowed) and whether it opens a sentence."""
    words = list(_WORD.finditer(text))
    index = 0
    while index < len(words):
        if not words[index].group()[0].isupper():
            index += 1
            continue
        end = _run_end(text, words, index)
        yield text[words[index].start() : words[end - 1].end()], bool(_SENTENCE_END.search(text[max(0, words[index].start() - 12) : words[index].start()]))
        index = end


def _run_end(text: str, words: list[re.Match[str]], start: int) -> int:
    end = ahead = start + 1
    while ahead < len(words) and _RUN_GAP.fullmatch(text[words[ahead - 1].end() : words[ahead].start()]):
        word = words[ahead].group()
        if word[0].isupper():
            end = ahead + 1
        elif word not in _LINKS or ahead - end >= 2:
            break
        ahead += 1
    return end


def select_anchors(
    entities: Mapping[str, Mapping[str, int]],
    texts: list[str],
    background: list[str],
    config: AnchorConfig,
) -> list[Anchor]:
    """Unite entities and distinctive terms, drop what is ordinary or rare, and rank by count.

    Args:
        entities: Term -> kind -> how often the pipeline found it so.
        texts: The forget documents.
        background: Retain and general documents; may be empty: then no z-score tells terms apart, and none is left out for it.
        config: Thresholds.

    Returns:
        Anchors, the most frequent first; empty where the text has none.
    """
    words, other = count_words(texts), count_words(background)
    scores, common = log_odds_z(words, other), lowercase_words([*texts, *background])
    found = {"entity": _kinds(entities), "log-odds": {_trim(run) for run in _distinctive_runs(texts)}}
    candidates = _tidy({*found["entity"], *found["log-odds"]}, common)
    counts = count_terms(texts, candidates)
    chosen = [
        Anchor(
            term=term,
            kind=found["entity"].get(term, "THING"),
            count=counts[term],
            log_odds_z=round(_term_score(term, scores), 3),
            origin="+".join(source for source, terms in found.items() if term in terms),
        )
        for term in candidates
        if counts[term] >= config.min_count and (not other or _term_score(term, scores) >= config.min_log_odds_z)
    ]
    return sorted(chosen, key=lambda anchor: (-anchor.count, anchor.term))[: config.max_anchors]


def _kinds(entities: Mapping[str, Mapping[str, int]]) -> dict[str, str]:
    """Return the kind that each term was most often found to be, its forms (`The Emerald City`, `Dorothy's`) taken together."""
    found: dict[str, Counter[str]] = {}
    for term, counts in entities.items():
        found.setdefault(_trim(term), Counter()).update(counts)
    return {term: max(counts, key=lambda kind: counts[kind]) for term, counts in found.items()}


def _distinctive_runs(texts: list[str]) -> set[str]:
    """Runs that occur capitalised inside a sentence, where a capital means a name."""
    return {run for text in texts for run, opens in capitalised_runs(text) if not opens}


def _tidy(terms: set[str], common: frozenset[str]) -> set[str]:
    trimmed = {_trim(term) for term in terms}
    return {term for term in trimmed if len(term) > 1 and not term.isupper() and not _CONTRACTION.search(term) and not _is_ordinary(term, common)}


def _trim(term: str) -> str:
    """Cut the possessive and a leading article: the anchor is the name itself."""
    term = re.sub(r"['\u2019]s?$", "", term.strip())
    return re.sub(r"^(?:The|An?|O|Oh|And|But|Mr|Mrs)\b\.?\s+(?=\w)", "", term)


def _is_ordinary(term: str, common: frozenset[str]) -> bool:
    """A single word that is as good as always lower-case elsewhere is the start of a sentence or an emphasis, not a name."""
    return " " not in term and term.lower() in common and len(term) < 4


def _term_score(term: str, scores: Mapping[str, float]) -> float:
    """The best word's score: `Tin Woodman` is as distinctive as `Woodman`."""
    return max((scores.get(match.group().lower(), 0.0) for match in _WORD.finditer(term)), default=0.0)


def anchor_expression(terms: Iterable[str]) -> re.Pattern[str]:
    """Return one expression that finds whole-word occurrences of any term, the longest first; without terms it finds nothing."""
    ordered = sorted(set(terms), key=lambda term: (-len(term), term))
    if not ordered:
        return re.compile(r"(?!)")
    return re.compile(r"(?<!\w)(?:" + "|".join(re.escape(term) for term in ordered) + r")(?!\w)")


def find_anchors(text: str, expression: re.Pattern[str]) -> list[tuple[int, int]]:
    """Return the character spans [start, end) of the anchors in `text`, left to right, none overlapping."""
    return [match.span() for match in expression.finditer(text)]


def count_terms(texts: Iterable[str], terms: Iterable[str]) -> Counter[str]:
    """Return how often each term occurs, longest match first: the `Tin` of `Tin Woodman` is not counted as `Tin`."""
    terms = set(terms)
    if not terms:
        return Counter()
    expression = anchor_expression(terms)
    return Counter(match.group() for text in texts for match in expression.finditer(text))
