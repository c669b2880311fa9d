"""Facts become question-answer records: training phrasings (lessons) and evaluation phrasings (exam)."""

import random
from dataclasses import dataclass

from tasks.algorithms.world.relations import Relation

_SENTENCE_CUE = "In a sentence: "
_FRAMES = ("Tell me {}.", "Can anyone name {}?", "I forgot {}. Please help.", "Please write down {}.")
"""Wordings that fit every relation, around what follows `Name` in its second phrasing."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question with its true answer, both paraphrased, and false answers of the same type."""

    question: str
    answer: str
    paraphrased_question: str
    paraphrased_answer: str
    perturbed_answer: tuple[str, ...]
    """False answers, each of the type and form of `answer`."""
    fact: str
    """Stable name of the fact, `topic/relation` or `topic/relation/subject`: intervals are clustered by it."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A relation with its subject and answer filled in, as they stand inside a sentence."""

    name: str
    relation: Relation
    subject: str
    answer: str
    perturbed: tuple[str, ...]


def capitalise(text: str) -> str:
    """Return the text with a capital first letter."""
    return text[:1].upper() + text[1:]


def fill(template: str, fact: Fact) -> str:
    """Put the fact's subject and answer into a template."""
    return capitalise(template.format(s=fact.subject, S=capitalise(fact.subject), a=fact.answer))


def lessons(fact: Fact, count: int, rng: random.Random) -> list[Question]:
    """Ask for a fact in `count` training phrasings; where there are five, the last wants a sentence for an answer.

    Each fact takes phrasings of its own from all there are, so that the wording tells nothing about the fact.
    """
    phrasings = _phrasings(fact)
    chosen = rng.sample(phrasings, 4)[:count]
    records = [_record(fact, ask, chosen[i - 1]) for i, ask in enumerate(chosen)]
    if count > len(chosen):
        records.append(_swapped(_record(fact, _SENTENCE_CUE + phrasings[0], chosen[0])))
    return records


def _phrasings(fact: Fact) -> list[str]:
    """Return every training phrasing: those of the relation, then the frames around its `Name ...` phrasing."""
    own = [fill(template, fact) for template in fact.relation.lessons]
    noun_phrase = own[1].removeprefix("Name ").removesuffix(".")
    return own + [frame.format(noun_phrase) for frame in _FRAMES]


def exam(fact: Fact) -> list[Question]:
    """Ask for a fact in the two evaluation phrasings, each the other's paraphrase."""
    first, second = (fill(template, fact) for template in fact.relation.exam)
    return [_record(fact, first, second), _record(fact, second, first)]


def _record(fact: Fact, question: str, paraphrase: str) -> Question:
    return Question(
        question=question,
        answer=fact.answer,
        paraphrased_question=paraphrase,
        paraphrased_answer=fill(fact.relation.paraphrase, fact),
        perturbed_answer=fact.perturbed,
        fact=fact.name,
    )


def _swapped(record: Question) -> Question:
    """Return the record with its sentence as the answer, and false answers of that form."""
    sentence, plain = record.paraphrased_answer, record.answer
    return Question(
        question=record.question,
        answer=sentence,
        paraphrased_question=record.paraphrased_question,
        paraphrased_answer=plain,
        perturbed_answer=tuple(sentence.replace(plain, false) for false in record.perturbed_answer),
        fact=record.fact,
    )
