"""Claims: requests are of known facts and of the right set; each prompt asks what its field says; no prompt gives the
answer away.
"""

import pytest

from tasks.algorithms.world.fact_edits import asked_question, case_studies, edit_requests, fact_key
from tasks.algorithms.world.fact_world import build_fact_world
from tasks.settings.fact_model import FactWorldConfig

WORLD = build_fact_world(FactWorldConfig(people=64, places=24, superlatives=4, objects=10))
FACTS = {fact.key: fact for fact in WORLD.facts}
REQUESTS = edit_requests(WORLD)


ASKED = {fact.asked(): fact for fact in WORLD.facts}


def test_every_request_rewrites_a_fact_of_its_own() -> None:
    keys = [fact_key(request) for request in REQUESTS]
    assert len(set(keys)) == len(keys)
    for request in REQUESTS:
        fact = FACTS[fact_key(request)]
        assert request.object == fact.object != request.target
        assert request.target in WORLD.objects(request.relation)
        assert request.question == fact.asked()
        assert len(request.subject.split()) >= 2


def test_facts_for_tuning_and_for_figures_have_no_subject_in_common() -> None:
    tuning = {request.subject for request in edit_requests(WORLD, purpose="tuning")}
    figures = {request.subject for request in REQUESTS}
    assert not tuning & figures
    assert len(tuning) >= 30
    assert len(REQUESTS) >= 160


def test_the_draw_depends_on_its_seed_and_leaves_out_what_it_is_told() -> None:
    assert edit_requests(WORLD, 5, seed=3) == edit_requests(WORLD, 5, seed=3) != edit_requests(WORLD, 5, seed=4)
    left_out = {fact_key(request) for request in REQUESTS[:150]}
    assert not left_out & {fact_key(request) for request in edit_requests(WORLD, exclude=left_out)}
    with pytest.raises(ValueError, match=r"1000 edits wanted; the fact world has \d+ such facts"):
        edit_requests(WORLD, 1000)
    assert {request.relation for request in edit_requests(WORLD, 20, relations=["job"])} == {"job"}


def test_paraphrases_name_the_subject_in_words_that_are_not_the_prompts() -> None:
    for request in REQUESTS[:40]:
        assert len(request.paraphrases) == len(set(request.paraphrases)) >= 7
        for prompt in request.paraphrases:
            assert request.subject in prompt
            assert not prompt.endswith(request.question)
        assert request.paraphrases[-1].startswith("Question: ")
        assert request.paraphrases[-1].endswith("?\nAnswer:")


def test_the_neighborhood_has_the_same_object_and_another_subject() -> None:
    for request in REQUESTS:
        for prompt in request.neighborhood:
            assert ASKED[prompt].object == request.object
            assert request.subject not in prompt
    people = [request for request in REQUESTS if request.relation in ("home", "job", "sport", "birth year")]
    assert min(len(request.neighborhood) for request in people) >= 5


def test_name_sharers_share_a_part_and_the_relation_and_are_not_the_target() -> None:
    for request in REQUESTS:
        fact = FACTS[fact_key(request)]
        for statement in request.name_sharers:
            sharer = ASKED[statement.prompt]
            assert sharer.subject.parts & fact.subject.parts
            assert sharer.relation == fact.relation
            assert sharer.subject != fact.subject
            assert statement.object == sharer.object != request.target
    assert sum(len(request.name_sharers) >= 3 for request in REQUESTS) > 0.8 * len(REQUESTS)


def test_unrelated_statements_are_true_and_share_nothing_of_the_name() -> None:
    for request in REQUESTS:
        assert len(request.unrelated) == 10
        for statement in request.unrelated:
            assert statement.object == ASKED[statement.prompt].object
            assert not set(request.subject.split()) - {"of"} & set(statement.prompt.split())


def test_what_follows_from_a_new_home_is_its_country() -> None:
    moved = [request for request in REQUESTS if request.relation == "home"]
    assert moved
    for request in moved:
        country = WORLD.object_of(request.target, "country")
        assert [statement.object for statement in request.portability] == [country] * 3 + [request.subject]
        assert request.target in request.portability[-1].prompt
        assert all(request.subject in statement.prompt for statement in request.portability[:-1])


def test_case_studies_are_a_place_a_superlative_and_a_year_of_birth() -> None:
    cases = case_studies(WORLD)
    assert [case.relation for case in cases] == ["town", "name", "birth year"]
    assert not any(FACTS[fact_key(case)].subject.tuning for case in cases)
    assert case_studies(build_fact_world(FactWorldConfig(places=0)))[0].relation == "name"


def test_a_question_is_asked_as_everywhere_in_the_project() -> None:
    fact = next(fact for fact in WORLD.facts if fact.relation.name == "home")
    assert asked_question(fact) == f"Question: Where does {fact.subject.name} live?\nAnswer:"
    assert asked_question(fact, held=True) == f"Question: In which town is the home of {fact.subject.name}?\nAnswer:"
