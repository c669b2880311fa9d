"""Which terms become anchors: what a pipeline took for entities, united with what the forget text says and ordinary
text does not.

Distinctive terms are words and runs of words, as they are written, by the log-odds ratio with an informative Dirichlet
prior (Monroe, Colaresi & Quinn 2008, "Fightin' Words", eq. 22):

    delta_w = log (y_w + a_w) / (n + a_0 - y_w - a_w)  -  log (b_w + a_w) / (m + a_0 - b_w - a_w)
    z_w     = delta_w / sqrt(1 / (y_w + a_w) + 1 / (b_w + a_w))

with y, b the counts in the forget and the background text, n, m their sums, and a_w the prior from both together.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from tasks.algorithms.text.anchors import Anchor, count_terms, spelling_key
from tasks.algorithms.text.corpus import text_stretches
from tasks.algorithms.text.words import LINKS, WORD, capitalised_runs, trim
from tasks.settings.text import AnchorConfig

_NO_NAME = re.compile(r"['\u2019](?:m|d|t|re|ve|ll)\b|--|[\u2014\"\u201c\u201d]")
CALENDAR = frozenset(
    """
    monday tuesday wednesday thursday friday saturday sunday january february july september october november december
    """.split()
)
"""Capitalised, but no names; months that are names or words as well (May, June, March, August, April) are left to the
counts."""


@dataclass(frozen=True)
class Tally:
    """Counts of the words and names of a text, all as it is written; its size grows with the vocabulary, not with the
    text.
    """

    words: Counter[str] = field(default_factory=Counter)
    inside: Counter[str] = field(default_factory=Counter)
    """Words with a capital inside a sentence, where the capital means a name."""
    runs: Counter[str] = field(default_factory=Counter)
    """Runs of such words."""

    def is_ordinary(self, word: str) -> bool:
        """Whether a word is more often lower-case than a name: then its capital is an emphasis or opens
        direct speech.
        """
        return self.words[word.lower()] > self.inside[word] or word.lower() in CALENDAR

    def terms(self) -> Counter[str]:
        """Return words and runs of several words with their counts."""
        return self.words + Counter({trim(run): count for run, count in self.runs.items() if " " in trim(run)})


def tally_text(texts: Iterable[str]) -> Tally:
    """Go through texts once and count what the choice of anchors is made by."""
    tally = Tally()
    for text in texts:
        for stretch in text_stretches(text):
            tally.words.update(match.group() for match in WORD.finditer(stretch))
            inside = [run for run, opens in capitalised_runs(stretch) if not opens]
            tally.runs.update(inside)
            tally.inside.update(word for run in inside for word in WORD.findall(run))
    return tally


def log_odds_z(forget: Mapping[str, int], background: Mapping[str, int]) -> dict[str, float]:
    """Score how much more the forget text uses each word than the background does.

    By hand: neither scipy nor scikit-learn has this score.

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


def select_anchors(
    entities: Mapping[str, Mapping[str, int]],
    texts: Iterable[str],
    background: Iterable[str],
    config: AnchorConfig,
    user_anchors: Iterable[Anchor] = (),
    *,
    only_users: bool = False,
) -> list[Anchor]:
    """Unite entities and distinctive terms, drop what is ordinary or rare, and rank by count.

    Args:
        entities: Term -> kind -> how often the pipeline found it so.
        texts: The forget documents; gone through twice, so no iterator.
        background: Retain and general documents; may be empty: then no z-score tells terms apart, and none is left out
            for it.
        config: Thresholds.
        user_anchors: A user's own anchors, kept whatever their score if they occur at all; counts and scores are filled
            in, and an empty kind.
        only_users: Whether these are all; else they are joined with what is found.

    Returns:
        Anchors, the most frequent first, one for all spellings of a term; empty where the text has none.
    """
    tally, background_tally = tally_text(texts), tally_text(background)
    scores = log_odds_z(tally.terms(), background_tally.terms())
    least = config.min_log_odds_z if background_tally.words else -math.inf
    candidates = _candidates(entities, tally, scores)
    own = {spelling_key(anchor.term): _completed(anchor, candidates, scores) for anchor in user_anchors}
    able = (
        {}
        if only_users
        else {
            key: anchor
            for key, anchor in candidates.items()
            if anchor.log_odds_z >= least and _may_reach(anchor.term, tally, config)
        }
    )
    likely = {key: anchor for key, anchor in able.items() if key not in own}
    counts = count_terms(texts, (anchor.term for anchor in (likely | own).values()))
    detected = _ranked([anchor for anchor in _counted(likely, counts) if anchor.count >= config.min_count])
    return _ranked([*detected[: config.max_anchors], *(anchor for anchor in _counted(own, counts) if anchor.count)])


def _candidates(
    entities: Mapping[str, Mapping[str, int]], tally: Tally, scores: Mapping[str, float]
) -> dict[str, Anchor]:
    """Return spelling key -> candidate in its most frequent spelling, not yet counted."""
    kinds, spelt, sources = {}, {}, {}
    for term, counts in entities.items():
        kinds.setdefault(spelling_key(trim(term)), Counter()).update(counts)
    for source, terms in (
        ("entity", {term: sum(counts.values()) for term, counts in entities.items()}),
        ("log-odds", tally.runs),
    ):
        for term, count in terms.items():
            name = trim(term)
            if _is_name(name, tally):
                spelt.setdefault(spelling_key(name), Counter())[name] += count
                sources.setdefault(spelling_key(name), {})[source] = True
    return {
        key: Anchor(
            term=min(forms, key=lambda form: (-forms[form], form)),
            kind=max(kinds[key], key=kinds[key].get) if key in kinds else "THING",
            count=0,
            log_odds_z=max(_term_score(form, scores) for form in forms),
            origin="+".join(sources[key]),
        )
        for key, forms in spelt.items()
    }


def _is_name(term: str, tally: Tally) -> bool:
    if len(term) < 2 or term.isupper() or _NO_NAME.search(term) or (WORD.fullmatch(term) and tally.is_ordinary(term)):
        return False
    # "showed Dorothy the Emerald City" has two names, "William the Conqueror" is one
    head, _, tail = term.partition(" the ")
    return not tail or head.rpartition(" ")[2] in LINKS or tally.runs[tail] < tally.runs[term]


def _may_reach(term: str, tally: Tally, config: AnchorConfig) -> bool:
    """Whether a term can occur often enough, judged by its rarest word: the long tail need not be looked for."""
    # a hyphen may be a space elsewhere
    return all("-" in word or tally.words[word] >= config.min_count for word in WORD.findall(term))


def _term_score(term: str, scores: Mapping[str, float]) -> float:
    """The score of the term or its best word: `Tin Woodman` is as distinctive as `Woodman`, `Long Tom` more so than
    `Tom`.
    """
    return round(max(scores.get(part, 0.0) for part in (term, *WORD.findall(term))), 3)


def _completed(anchor: Anchor, candidates: Mapping[str, Anchor], scores: Mapping[str, float]) -> Anchor:
    candidate = candidates.get(spelling_key(anchor.term))
    return replace(
        anchor,
        log_odds_z=_term_score(anchor.term, scores),
        kind=anchor.kind or (candidate.kind if candidate else "THING"),
    )


def _counted(anchors: Mapping[str, Anchor], counts: Mapping[str, int]) -> list[Anchor]:
    return [replace(anchor, count=counts[anchor.term]) for anchor in anchors.values()]


def _ranked(anchors: Iterable[Anchor]) -> list[Anchor]:
    return sorted(anchors, key=lambda anchor: (-anchor.count, anchor.term))
