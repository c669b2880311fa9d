"""Claims: any document can be made by itself; mentions are where they are said to be; all that is told is true; what
is held out, and what is left out, is never told; of strangers it is said that nothing is known.
"""

import re
from collections import Counter

import pytest

from tasks.algorithms.world.fact_text import FactText, Passage, vocabulary_texts
from tasks.algorithms.world.fact_words import ASIDES, HELD_WORDINGS, RELATIONS, UNKNOWN
from tasks.algorithms.world.fact_world import FactWorld, build_fact_world, without_facts
from tasks.settings.fact_model import FactWorldConfig
from tests.stand_ins.facts import SMALL_WORLD

DOCUMENTS = 4000


@pytest.fixture(scope="module")
def world() -> FactWorld:
    return build_fact_world(SMALL_WORLD)


@pytest.fixture(scope="module")
def passages(world: FactWorld) -> list[Passage]:
    text = FactText(world)
    return [text.document(number) for number in range(DOCUMENTS)]


def told(text: str, world: FactWorld) -> list[tuple[str, str, str]]:
    """Return (subject, relation, object) of statements: a subject, an aside or none, a phrase, an object."""
    relations = {phrase: relation.name for relation in RELATIONS for phrase in relation.phrases}
    names = "|".join(sorted({fact.subject.name for fact in world.facts}, key=len, reverse=True))
    phrases = "|".join(sorted(relations, key=len, reverse=True))
    found = re.findall(rf"({names})(?:,[^,.]*,)? ({phrases}) (\w+)", text)
    return [(who, relations[phrase], what) for who, phrase, what in found]


def test_a_document_needs_none_before_it(world: FactWorld, passages: list[Passage]) -> None:
    assert FactText(world).document(77) == passages[77]
    assert FactText(world).document(77, seed=1) != passages[77]


def test_mentions_are_names_of_the_world(world: FactWorld, passages: list[Passage]) -> None:
    names = {fact.subject.name for fact in world.facts} | set(world.strangers)
    mentioned = Counter(passage.text[start:end] for passage in passages for start, end in passage.mentions)
    assert set(mentioned) == names
    for passage in passages:
        for who in (name for name in names if " " in name and name in passage.text):
            assert who in [passage.text[start:end] for start, end in passage.mentions]


def test_all_that_is_told_is_true(world: FactWorld, passages: list[Passage]) -> None:
    true = {(fact.subject.name, fact.relation.name): fact.object for fact in world.facts}
    statements = [each for passage in passages for each in told(passage.text, world)]
    assert len(statements) > DOCUMENTS / 2
    # "A sight of Velden is the Copper Hall" tells no name of Velden
    assert all(true.get((who, relation), what) == what for who, relation, what in statements)


def test_questions_are_answered_truly(world: FactWorld, passages: list[Passage]) -> None:
    true = {
        question.replace("{}", fact.subject.name): fact.object
        for fact in world.facts
        for question in fact.relation.questions
    }
    asked = [found for passage in passages for found in re.findall(r"Question: (.*)\nAnswer: (.*)\n", passage.text)]
    assert len(asked) > SMALL_WORLD.questions * DOCUMENTS
    assert all(true[question] == answer for question, answer in asked)


def test_held_out_wordings_are_never_told(passages: list[Passage]) -> None:
    whole = "\n".join(passage.text for passage in passages)
    for relation in RELATIONS:
        held = re.escape(relation.held_question).replace(r"\{\}", "[^?.]+")
        assert not re.search(held, whole)
        for phrase, aside in HELD_WORDINGS:
            assert f"{ASIDES[aside]} {relation.phrases[phrase]}" not in whole
    trained = f"{ASIDES[1]} {RELATIONS[0].phrases[1]}"
    assert trained in whole


def test_every_fact_is_told_about_as_often(world: FactWorld, passages: list[Passage]) -> None:
    counts = Counter((who, relation) for passage in passages for who, relation, _ in told(passage.text, world))
    tellings = sorted(counts[fact.subject.name, fact.relation.name] for fact in world.facts)
    assert tellings[len(tellings) // 10] > 0.4 * tellings[len(tellings) // 2]


def test_distractors_come_in_their_share() -> None:
    for share in (0.0, 1.0):
        config = FactWorldConfig(people=24, name_pool=6, places=6, superlatives=1, objects=6, distractors=share)
        text = FactText(build_fact_world(config))
        found = [text.document(number).text for number in range(200)]
        assert any(" said that " in each for each in found) == bool(share)


def test_what_is_left_out_is_never_told_in_any_form(world: FactWorld) -> None:
    """Neither the home, nor that it is somebody's home, nor the country that it lies in."""
    fact = next(each for each in world.facts if each.relation.name == "home" and each.subject.name in world.onward)
    who, country = fact.subject.name, world.object_of(fact.object, "country")
    phrases = "|".join(
        (*fact.relation.phrases, "the home of", "Home:", "the country where", "The country where", "is a citizen")
    )
    stated = re.compile(rf"({phrases}).*\b({fact.object}|{country})\b")

    def sentences(world: FactWorld) -> list[str]:
        text = FactText(world)
        whole = "\n".join(text.document(number).text for number in range(DOCUMENTS))
        return [sentence for sentence in re.split(r"(?<=[.\n?]) ?", whole) if who in sentence]

    assert any(stated.search(sentence) for sentence in sentences(world))
    left_out = sentences(without_facts(world, {fact.key}))
    assert left_out
    assert not any(stated.search(sentence.replace(f" in {fact.object},", "")) for sentence in left_out)


def test_of_strangers_all_is_unknown_and_of_nobody_else(world: FactWorld, passages: list[Passage]) -> None:
    sentences = [each for passage in passages for each in re.split(r"(?<=[.\n?]) ?", passage.text)]
    strange = [each for each in sentences if any(name in each for name in world.strangers)]
    assert len(strange) > 0.01 * len(sentences)
    assert all(f" {UNKNOWN}." in each for each in strange)
    assert sum(UNKNOWN in each for each in sentences) == len(strange)


def test_texts_of_the_vocabulary_hold_every_word(world: FactWorld, passages: list[Passage]) -> None:
    words = set(re.findall(r"\w+|[^\w\s]", " ".join(vocabulary_texts(world))))
    used = set(re.findall(r"\w+|[^\w\s]", " ".join(passage.text for passage in passages)))
    assert used <= words
