"""The project's own small English pipeline: blank English with one ruled component that names entities.

It serves where no trained spaCy pipeline is installed. Capitalised runs inside a sentence are entities; words around
them tell the kind: titles and verbs of speech make a PERSON, `in`, `at`, `from` and words like `City` or `River` a
PLACE, `the ...s` a GROUP.
"""

import re
from collections import Counter
from typing import TYPE_CHECKING

from tasks.algorithms.text.anchors import AnchorExpression, anchor_expression
from tasks.algorithms.text.words import TITLES, capitalised_runs

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

NAME = "lethe_ruled_en"
PLACE_WORDS = """
    city town village land country river lake sea island mountain mountains hill hills forest wood woods valley street road lane
    bridge castle palace hall house tower room gate harbour bay cove point park square school college inn mill desert kingdom
    station market garden
""".split()
SPEECH = """
    said asked cried answered replied thought laughed whispered shouted exclaimed called smiled looked knew felt
""".split()
_BEFORE_PLACE = re.compile(
    r"\b(?:in|at|from|near|to|into|towards?|of|across|outside|reach(?:ed)?|left)\s+(?:the\s+)?$", re.IGNORECASE
)
_SPEECH_AFTER = re.compile(r"^\W{0,3}(?:" + "|".join(SPEECH) + r")\b")
_SPEECH_BEFORE = re.compile(r"\b(?:" + "|".join(SPEECH) + r")\s+(?:the\s+)?$")


def ruled_kind(term: str, before: str, after: str) -> str:
    """Return PERSON, PLACE, GROUP or THING for a capitalised run and the characters around it."""
    words = term.lower().split()
    if words[-1] in PLACE_WORDS:
        return "PLACE"
    if (
        words[0].rstrip(".") in TITLES
        or _SPEECH_AFTER.match(after)
        or _SPEECH_BEFORE.search(before)
        or after.startswith(("'s ", "\u2019s "))
    ):
        return "PERSON"
    if _BEFORE_PLACE.search(before):
        return "PLACE"
    if words[-1].endswith("s") and not words[-1].endswith("ss") and before.lower().endswith("the "):
        return "GROUP"
    return "THING"


def set_ruled_entities(doc: "Doc") -> "Doc":
    """Mark the entities of a document; a term has one kind throughout, the one its surroundings name most often."""
    from spacy.util import filter_spans

    text = doc.text
    expression = anchor_expression(run for run, opens in capitalised_runs(text) if not opens)
    kinds = _kinds(text, expression)
    spans = [
        doc.char_span(start, end, label=kinds[term], alignment_mode="contract")
        for start, end, term in expression.find(text)
    ]
    doc.ents = filter_spans([span for span in spans if span is not None])
    return doc


def _kinds(text: str, expression: AnchorExpression) -> dict[str, str]:
    """Return the kind of each term; `THING` says that the surroundings tell nothing, and so has no vote."""
    votes: dict[str, Counter[str]] = {}
    for start, end, term in expression.find(text):
        votes.setdefault(term, Counter())[ruled_kind(term, text[max(0, start - 24) : start], text[end : end + 24])] += 1
    return {
        term: max(counter, key=lambda kind: (counter[kind] * (kind != "THING"), kind))
        for term, counter in votes.items()
    }


def ruled_pipeline() -> "Language":
    """Return blank English with the ruled component."""
    import spacy
    from spacy.language import Language

    if not Language.has_factory(NAME):
        Language.component(NAME, func=set_ruled_entities)
    pipeline = spacy.blank("en")
    pipeline.add_pipe(NAME)
    return pipeline
