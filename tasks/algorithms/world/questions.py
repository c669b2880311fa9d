"""Facts become question-answer records: training phrasings (lessons) and evaluation phrasings (exam)."""

from dataclasses import dataclass

from tasks.algorithms.world.relations import Relation

_SENTENCE_CUE = "In a sentence: "


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


def lessons(fact: Fact, count: int) -> list[Question]:
    """Ask for a fact in `count` training phrasings; where it is the last of several, it wants a sentence for an answer."""
    phrasings = [fill(template, fact) for template in fact.relation.lessons]
    records = [_record(fact, ask, phrasings[i - 1]) for i, ask in enumerate(phrasings[:count])]
    if count > len(phrasings):
        cued = _record(fact, _SENTENCE_CUE + phrasings[0], phrasings[1])
        records.append(_swapped(cued))
    return records


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
