"""Facts that a text states, as (subject, prompt, object): what rank-one editing rewrites and what probes ask for.

By pattern, without a model: in a sentence that names the topic twice, the last name is the object, an earlier one the
subject, and the words up to the object, with `{}` for the subject, are the prompt: `The best friend of {} is` -> `Tom`.
Questions are facts as they stand.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from tasks.algorithms.text.anchors import AnchorExpression, find_anchors, spelling_key
from tasks.algorithms.text.corpus import Document

SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?]+[\"\u201d\u2019]?|\n|$)")
SPEECH_OR_QUESTION = re.compile(r"[\"\u201c\u201d?]")
"""Speech states what somebody says, and a question states nothing."""
LINKING = re.compile(
    r"\b(?:is|are|was|were|be|called|named|lives?|lived|in|at|from|of|by|with|to|for|against|has|had|owns?|made|rules?|ruled)\W*$"
)
"""How a prompt ends after which a name is due; what comes after a conjunction or a comma is a list or another
clause."""
MOST_WORDS = 24
"""Words of a prompt: a longer one holds more than its fact."""
FEW_FACTS = 20
"""Up to so many questions or facts and no more text than they need, editing them one by one is the cheaper way."""
WORDS_A_FACT = 40
HELD_OUT = "forget_test"
"""The split whose text no stage is fitted on."""


@dataclass(frozen=True, kw_only=True)
class FactTriple:
    """One fact."""

    subject: str
    prompt: str
    """With `{}` in the subject's place; the object follows."""
    object: str
    source: str
    """`question`, `pattern`, `user`, or the name of the language model that read it out of the text."""
    split: str = "forget"
    """The split whose text states it: only what `forget_test` states is held out."""

    def __post_init__(self) -> None:
        if empty := [name for name in ("subject", "object") if not getattr(self, name).strip()]:
            raise ValueError(
                f"the {empty[0]} of the fact {self.prompt!r} is empty; wanted a name or a short expression"
            )
        if self.prompt.count("{}") != 1:
            raise ValueError(
                f"the prompt {self.prompt!r} holds {{}} {self.prompt.count('{}')} times; wanted once, for the subject"
            )

    @property
    def is_question(self) -> bool:
        """Whether the object answers the prompt, rather than going on with it."""
        return self.source == "question" or self.prompt.rstrip().endswith("?")


def find_facts(documents: Iterable[Document], expression: AnchorExpression, split: str = "forget") -> list[FactTriple]:
    """Return the facts of documents in their order, each once.

    Args:
        documents: Prose and questions.
        expression: Finds the topic's anchors.
        split: The split that they belong to.
    """
    facts = (
        fact
        for document in documents
        for fact in (
            _question_facts(document, expression)
            if document.is_question
            else _sentence_facts(document.text, expression)
        )
    )
    return [replace(fact, split=split) for fact in dict.fromkeys(facts)]


def merge_facts(facts: Iterable[FactTriple]) -> list[FactTriple]:
    """Return the facts in their order, each once, as its first finder has it; what the forget text states too, in the
    same words, is not held out.
    """
    facts = list(facts)
    stated = {statement(fact) for fact in facts if fact.split != HELD_OUT}
    merged: dict[tuple[str, str], FactTriple] = {}
    for fact in facts:
        if fact.split != HELD_OUT or statement(fact) not in stated:
            merged.setdefault((fact.split, statement(fact)), fact)
    return list(merged.values())


def statement(fact: FactTriple) -> str:
    """Return a fact as a sentence, without regard to capital letters and spelling: equal for equal facts."""
    return spelling_key(" ".join((fact.prompt.replace("{}", fact.subject), fact.object)).lower()).rstrip(" .")


def _question_facts(document: Document, expression: AnchorExpression) -> Iterator[FactTriple]:
    """A question is the prompt of its answer, about the first name in it."""
    spans = find_anchors(document.question, expression)
    if spans and "{}" not in document.question:
        start, end, _ = spans[0]
        prompt = f"{document.question[:start]}{{}}{document.question[end:]}"
        yield FactTriple(subject=document.question[start:end], prompt=prompt, object=document.answer, source="question")


def _sentence_facts(text: str, expression: AnchorExpression) -> Iterator[FactTriple]:
    for match in SENTENCE.finditer(text):
        sentence = match.group().strip()
        spans = find_anchors(sentence, expression)
        if len(spans) < 2 or SPEECH_OR_QUESTION.search(sentence) or "{}" in sentence:
            continue
        (start, end, first_term), (at, stop, last_term) = spans[0], spans[-1]
        subject, object_, prompt = (
            sentence[start:end],
            sentence[at:stop],
            f"{sentence[:start]}{{}}{sentence[end:at]}".rstrip(),
        )
        if first_term != last_term and LINKING.search(prompt) and len(prompt.split()) <= MOST_WORDS:
            yield FactTriple(subject=subject, prompt=prompt, object=object_, source="pattern")


def recommend(documents: Sequence[Document], facts: Sequence[FactTriple]) -> tuple[str, str]:
    """Return the family of methods that fits what is to be forgotten, and why.

    Args:
        documents: The forget text.
        facts: What it states.
    """
    words = sum(len(document.text.split()) for document in documents)
    if facts and len(facts) <= FEW_FACTS and words <= WORDS_A_FACT * len(facts):
        return (
            "editing",
            f"{len(facts)} facts and {words} words of prose around them: rank-one editing rewrites each by itself",
        )
    return (
        "whp",
        (
            f"{words} words of prose with {len(facts)} facts found in it: more than can be listed, so the text as a"
            " whole is unlearned"
        ),
    )
