"""Facts that a text states, as (subject, prompt, object): what rank-one editing rewrites and what probes ask for.

By pattern, without a model: in a sentence that names the topic twice, the last name is the object, an earlier one the subject, and the
words up to the object, with `{}` for the subject, are the prompt: `The best friend of {} is` -> `Tom`. Questions are facts as they stand.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tasks.algorithms.anchors import AnchorExpression, find_anchors
from tasks.algorithms.corpus import Document

SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?]+[\"\u201d\u2019]?|\n|$)")
SPOKEN = re.compile(r"[\"\u201c\u201d?]")
"""Speech states what somebody says, and a question states nothing."""
LINKING = re.compile(r"\b(?:is|are|was|were|be|called|named|lives?|lived|in|at|from|of|by|with|to|for|against|has|had|owns?|made|rules?|ruled)\W*$")
"""How a prompt ends after which a name is due; what comes after a conjunction or a comma is a list or another clause."""
MOST_WORDS = 24
"""Words of a prompt: a longer one holds more than its fact."""
FEW_FACTS = 20
"""Up to so many questions or facts and no more text than they need, editing them one by one is the cheaper way."""
WORDS_A_FACT = 40


@dataclass(frozen=True, kw_only=True)
class FactTriple:
    """One fact."""

    subject: str
    prompt: str
    """With `{}` in the subject's place; the object follows."""
    object: str
    source: str
    """`question`, `pattern`, or the name of the language model that read it out of the text."""

    def __post_init__(self) -> None:
        if self.prompt.count("{}") != 1:
            raise ValueError(f"the prompt {self.prompt!r} holds {{}} {self.prompt.count('{}')} times; wanted once, for the subject")


def find_facts(documents: Iterable[Document], expression: AnchorExpression) -> list[FactTriple]:
    """Return the facts of documents in their order, each once.

    Args:
        documents: Prose and questions.
        expression: Finds the topic's anchors.
    """
    found = (fact for document in documents for fact in (_asked(document, expression) if document.is_question else _told(document.text, expression)))
    return list(dict.fromkeys(found))


def _asked(document: Document, expression: AnchorExpression) -> Iterator[FactTriple]:
    """A question is the prompt of its answer, about the first name in it."""
    spans = find_anchors(document.question, expression)
    if spans and "{}" not in document.question:
        start, end, _ = spans[0]
        prompt = f"{document.question[:start]}{{}}{document.question[end:]}"
        yield FactTriple(subject=document.question[start:end], prompt=prompt, object=document.answer, source="question")


def _told(text: str, expression: AnchorExpression) -> Iterator[FactTriple]:
    for match in SENTENCE.finditer(text):
        sentence = match.group().strip()
        spans = find_anchors(sentence, expression)
        if len(spans) < 2 or SPOKEN.search(sentence) or "{}" in sentence:
            continue
        (start, end, one), (at, stop, other) = spans[0], spans[-1]
        subject, object_, prompt = sentence[start:end], sentence[at:stop], f"{sentence[:start]}{{}}{sentence[end:at]}".rstrip()
        if one != other and LINKING.search(prompt) and len(prompt.split()) <= MOST_WORDS:
            yield FactTriple(subject=subject, prompt=prompt, object=object_, source="pattern")


def recommend(documents: Sequence[Document], facts: Sequence[FactTriple]) -> tuple[str, str]:
    """Return the family of methods that fits what is to be forgotten, and why.

    Args:
        documents: The forget text.
        facts: What it states.
    """
    words = sum(len(document.text.split()) for document in documents)
    if facts and len(facts) <= FEW_FACTS and words <= WORDS_A_FACT * len(facts):
        return "editing", f"{len(facts)} facts and {words} words of prose around them: rank-one editing rewrites each by itself"
    return "whp", f"{words} words of prose with {len(facts)} facts found in it: more than can be listed, so the text as a whole is unlearned"
