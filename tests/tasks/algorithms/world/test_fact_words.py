"""Claims: words and wordings fit together, and every name and object is a word that nothing else is."""

import pytest

from tasks.algorithms.world.fact_words import (
    ARTICLES,
    ASIDES,
    COUNTRY,
    FURTHER,
    HELD_WORDINGS,
    OBJECTS,
    PERSON_PARTS,
    PLACE_PARTS,
    RELATIONS,
)
from tasks.settings.fact_model import LIMITS

PLACES = (*PLACE_PARTS[0], *PLACE_PARTS[1])
PEOPLE = tuple(dict.fromkeys(word for pools in PERSON_PARTS.values() for pool in pools for word in pool))


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.name)
def test_a_relation_can_be_told_asked_and_turned_round(relation) -> None:
    assert relation.kind in ARTICLES
    assert len(relation.phrases) == len(set(relation.phrases)) == len(RELATIONS[0].phrases)
    assert relation.held_question not in relation.questions
    for question in (*relation.questions, relation.held_question):
        assert question.count("{}") == 1
        assert question.endswith("?")
    assert relation.reverse.count("{}") == 1
    assert not any("{}" in phrase for phrase in relation.phrases)
    assert OBJECTS[relation.name]


def test_there_are_as_many_objects_as_settings_allow() -> None:
    for name, pool in OBJECTS.items():
        assert len(set(pool)) == len(pool)
        assert all(word.isalnum() for word in pool), "one word, so that an object is one token"
        assert len(pool) == LIMITS["objects"][1] or name == "country"


def test_held_out_wordings_leave_every_phrase_and_every_aside_to_be_trained() -> None:
    cells = {(phrase, aside) for phrase in range(len(RELATIONS[0].phrases)) for aside in range(len(ASIDES))}
    assert set(HELD_WORDINGS) < cells
    trained = cells - set(HELD_WORDINGS)
    assert {phrase for phrase, _ in trained} == {phrase for phrase, _ in cells}
    assert {aside for _, aside in trained} == {aside for _, aside in cells}
    assert not any(aside == 0 for _, aside in HELD_WORDINGS), "the plain wording is trained"


def test_words_of_names_are_no_objects_and_stand_in_one_kind_of_name() -> None:
    objects = {word for pool in OBJECTS.values() for word in pool}
    assert not objects & {*PEOPLE, *PLACES}
    assert not set(PEOPLE) & set(PLACES)
    for pools in (*PERSON_PARTS.values(), PLACE_PARTS):
        words = [word for pool in pools for word in pool]
        assert len(words) == len(set(words)), "a word tells at which place of a name it stands"


def test_what_is_told_onward_has_its_places() -> None:
    assert all(frame.count("{}") == 1 for frame in (*COUNTRY, FURTHER))
