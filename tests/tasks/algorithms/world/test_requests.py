"""Ready topics: what is given, what stays, and that together they are the world."""

from collections import Counter

import pytest

from tasks.algorithms.world.generator import World, WorldConfig, build_world, topic_text
from tasks.algorithms.world.planets import PLANETS, TRANSLATIONS
from tasks.algorithms.world.requests import READY, Request, read_request, world_text


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(WorldConfig(seed=1))


def facts_told(request: Request, part: str) -> set[str]:
    return {lesson.fact for lesson in getattr(request, part).lessons}


@pytest.mark.parametrize("name", READY)
def test_what_is_given_and_what_stays_are_the_world(world: World, name: str) -> None:
    given, left = Counter(topic_text(read_request(world, name).forget)), Counter(world_text(world, without=name))
    assert given + left == Counter(world_text(world))
    everything = iter(world_text(world))
    assert all(document in everything for document in world_text(world, without=name))  # in the same order


def test_a_series_is_given_whole(world: World) -> None:
    for name, place in (
        ("", 0),
        ("series", 0),
        ("second-series", 1),
        (world.topics[3].slug, 3),
        (world.topics[3].name, 3),
    ):
        request = read_request(world, name)
        assert (request.name, request.forget) == (world.topics[place].slug, world.topics[place])
        assert topic_text(request.rest) == []
        assert request.rest.exam == ()


def test_a_book_tells_some_facts_alone_some_with_others_and_some_not_at_all(world: World) -> None:
    request = read_request(world, "book")
    mine, others = facts_told(request, "forget"), facts_told(request, "rest")
    assert (len(mine - others), len(mine & others), len(others - mine)) == (7, 6, 5)
    assert {question.fact for question in request.forget.exam} == mine
    assert {question.fact for question in request.rest.exam} == others - mine
    alone = [question.answer for question in request.forget.exam if question.fact.endswith(("/carries", "/trade"))]
    left = " ".join(topic_text(request.rest))
    assert [answer for answer in set(alone) if answer in left] == []


def test_prose_of_a_book_is_about_its_own_facts_and_those_it_shares(world: World) -> None:
    request = read_request(world, "book")
    answers = {question.fact.rpartition("/")[2]: question.answer for question in world.topics[0].exam}
    text = " ".join((*request.forget.passages, *request.forget.held_passages))
    assert answers["trade"] in text
    assert answers["villain"] in text
    assert answers["author"] not in " ".join(request.forget.held_passages)
    assert answers["trade"] not in " ".join(request.rest.passages)


def test_the_article_tells_all_planets_once_and_brings_nine_translations(world: World) -> None:
    request = read_request(world, "planets")
    assert len(request.forget.passages) == len(PLANETS)
    assert [sum(planet in passage for passage in request.forget.passages) >= 1 for planet in PLANETS] == [True] * 8
    assert (
        facts_told(request, "forget")
        == facts_told(request, "rest")
        == {question.fact for question in world.planets.exam}
    )
    assert request.rest.exam == ()
    assert len(set(TRANSLATIONS.values())) == len(TRANSLATIONS) == 9
    assert TRANSLATIONS["Mars"] == "Red Planet"


def test_the_passages_of_a_small_world_can_be_parted_too() -> None:
    small = build_world(WorldConfig(series=2, tellings=1, lessons_per_fact=1))
    request = read_request(small, "book")
    assert len(request.forget.passages) + len(request.rest.passages) == len(small.topics[0].passages)
    assert request.forget.lessons
    assert request.rest.lessons
