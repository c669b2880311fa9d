"""The embedded world keeps its promises: same seed, same bytes; nothing of the exam in training; names belong to one
topic.
"""

import re
from collections import Counter
from collections.abc import Iterable

import pytest

from tasks.algorithms.world import everyday, planets, prose
from tasks.algorithms.world.generator import Topic, World, WorldConfig, build_world, topic_text
from tasks.algorithms.world.names import POOLS
from tasks.algorithms.world.questions import Question
from tasks.algorithms.world.relations import RELATIONS, Relation
from tasks.algorithms.world.requests import world_text
from tasks.algorithms.world.series import SERIES

ALL_RELATIONS: tuple[Relation, ...] = (*RELATIONS, *everyday.RELATIONS, planets.ORDER, planets.MARK)
ARTICLES = ("the ", "")


@pytest.fixture(scope="module", params=[0, 1, 2])
def world(request: pytest.FixtureRequest) -> World:
    return build_world(WorldConfig(seed=request.param))


def every_topic(world: World) -> tuple[Topic, ...]:
    return (*world.topics, world.ordinary, world.planets)


def own_text(topic: Topic) -> str:
    return "\n".join(topic_text(topic))


def questions(topics: Iterable[Topic]) -> list[Question]:
    return [question for topic in topics for question in (*topic.lessons, *topic.exam)]


def bare(name: str) -> str:
    return name.removeprefix("the ")


def words(answer: str) -> int:
    return len(bare(answer).split())


def test_same_seed_gives_the_same_bytes() -> None:
    assert build_world(WorldConfig(seed=3)) == build_world(WorldConfig(seed=3))


def test_another_seed_gives_another_world() -> None:
    assert world_text(build_world(WorldConfig(seed=3))) != world_text(build_world(WorldConfig(seed=4)))


def test_default_world_has_eight_series_of_eighteen_facts(world: World) -> None:
    assert len(world.topics) == 8
    for topic in world.topics:
        assert len({question.fact for question in topic.exam}) == len(RELATIONS) == 18
        assert len(topic.terms) == 20


def test_exam_questions_never_occur_in_training_text(world: World) -> None:
    text = "\n".join(world_text(world)).lower()
    for topic in every_topic(world):
        for question in topic.exam:
            assert question.question.lower() not in text
            assert question.paraphrased_question.lower() not in text


@pytest.mark.parametrize("relation", ALL_RELATIONS, ids=lambda relation: relation.name)
def test_exam_wordings_never_occur_in_training_text_with_any_subject(world: World, relation: Relation) -> None:
    text = "\n".join(world_text(world))
    for template in relation.exam:
        pattern = re.escape(template).replace(r"\{s\}", r"[^\n?]+")
        assert re.search(pattern, text, re.IGNORECASE) is None


def test_held_passages_share_no_sentence_with_training_text(world: World) -> None:
    text = "\n".join(world_text(world))
    for topic in world.topics:
        sentences = [sentence for passage in topic.held_passages for sentence in re.split(r"(?<=[.?]) ", passage)]
        assert sentences
        assert not [sentence for sentence in sentences if sentence in text]


def test_held_wordings_differ_from_told_ones() -> None:
    for source in (prose, everyday, planets):
        assert source.WORDINGS.keys() == source.HELD_OUT_WORDINGS.keys()
        assert not {line for lines in source.WORDINGS.values() for line in lines} & {
            line for lines in source.HELD_OUT_WORDINGS.values() for line in lines
        }
        assert not set(source.BEATS) & set(source.HELD_OUT_BEATS)


def test_held_passages_mention_a_name_of_their_topic(world: World) -> None:
    for topic in every_topic(world):
        for passage in topic.held_passages:
            assert any(term in passage for term in topic.terms), passage


def test_false_answers_are_false_distinct_and_of_the_same_type(world: World) -> None:
    for question in questions(every_topic(world)):
        options = {question.answer, *question.perturbed_answer}
        assert len(options) == 1 + len(question.perturbed_answer) == 5
        if question.answer.endswith("."):  # the answer of a lesson that wants a sentence
            continue
        starts = {option.startswith("the ") for option in options}
        assert len(starts) == 1


def test_false_names_are_built_from_the_pools_of_the_true_one(world: World) -> None:
    for topic in world.topics:
        for question in topic.exam:
            kind = next(kind for kind, pool in pools_with_trades() if fits(question.answer, pool))
            pool = dict(pools_with_trades())[kind]
            assert all(fits(false, pool) for false in question.perturbed_answer), question


def pools_with_trades() -> list[tuple[str, tuple[set[str], set[str]] | set[str]]]:
    pairs = [(kind, (set(first), set(last))) for kind, (first, last) in POOLS.items()]
    return [("trade", {series.trade for series in SERIES}), *pairs]


def fits(answer: str, pool: tuple[set[str], set[str]] | set[str]) -> bool:
    if isinstance(pool, set):
        return answer in pool
    first, last = bare(answer).split()
    return first in pool[0] and last in pool[1]


def test_most_exam_answers_are_names_of_the_topic(world: World) -> None:
    for topic in world.topics:
        named = [bare(question.answer) in topic.terms for question in topic.exam]
        assert sum(named) / len(named) >= 0.85


def test_terms_occur_in_their_own_text_and_in_no_other(world: World) -> None:
    for topic in world.topics:
        others = "\n".join(own_text(other) for other in every_topic(world) if other is not topic)
        for term in topic.terms:
            assert term in own_text(topic)
            assert term not in others


def test_most_words_of_names_recur_in_other_topics(world: World) -> None:
    seen = Counter(
        word for topic in world.topics for word in {word for term in topic.terms[1:] for word in term.split()}
    )
    assert sum(count > 1 for count in seen.values()) / len(seen) > 0.6


def test_false_answers_are_no_names_of_another_topic(world: World) -> None:
    for topic in world.topics:
        foreign = {term for other in world.topics if other is not topic for term in other.terms}
        assert not foreign & {bare(false) for question in topic.exam for false in question.perturbed_answer}


def test_world_without_a_topic_holds_none_of_its_names_and_everything_else(world: World) -> None:
    for topic in world.topics:
        documents = world_text(world, without=topic.slug)
        text = "\n".join(documents)
        assert not [term for term in topic.terms if term in text]
        assert set(documents) | set(topic_text(topic)) == set(world_text(world))
        assert documents == world_text(world, without=topic.name)


def test_lessons_follow_the_question_template(world: World) -> None:
    lesson = world.topics[0].lessons[0]
    assert f"Question: {lesson.question}\nAnswer: {lesson.answer}\n" in topic_text(world.topics[0])


def test_a_full_name_stands_once_in_a_passage(world: World) -> None:
    people = world.topics[0].terms[1:11]
    for passage in world.topics[0].passages:
        assert all(passage.count(person) <= 1 for person in people)


def test_text_has_no_open_placeholder(world: World) -> None:
    held = [passage for topic in every_topic(world) for passage in topic.held_passages]
    asked = [question.question for topic in every_topic(world) for question in topic.exam]
    assert not [line for line in (*world_text(world), *held, *asked) if "{" in line or "}" in line]


def test_planets_are_true() -> None:
    world = build_world(WorldConfig(series=2))
    order = {q.answer: q.question for q in world.planets.exam if q.question.startswith("Do you know which planet")}
    assert list(order) == ["Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune"]
    assert order["Mars"] == "Do you know which planet is fourth from the Sun?"


def test_world_scales_up() -> None:
    world = build_world(WorldConfig(series=24, tellings=8, perturbed_answers=7))
    assert len({topic.slug for topic in world.topics}) == 24
    names = Counter(term for topic in world.topics for term in topic.terms)
    assert max(names.values()) == 1


def test_unknown_topic_is_named_with_the_known_ones(world: World) -> None:
    with pytest.raises(KeyError, match=r"no topic 'oz'; known: series, book, second-series, planets, lantern-tide"):
        world_text(world, without="oz")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("series", 1),
        ("series", 25),
        ("neighbours", 15),
        ("tellings", 0),
        ("held_tellings", 3),
        ("lessons_per_fact", 6),
        ("perturbed_answers", 1),
    ],
)
def test_config_names_the_offending_value(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=rf"world\.{field} is {value}; wanted a whole number from"):
        WorldConfig(**{field: value})


def test_an_unseen_series_is_whole_and_told_nowhere() -> None:
    world = build_world(WorldConfig(series=5, unseen=1))
    (unseen,) = world.unseen
    assert len(world.topics) == 5
    assert unseen.slug not in {topic.slug for topic in world.topics}
    assert len({question.fact for question in unseen.exam}) == len(RELATIONS)
    text = "\n".join(world_text(world))
    assert not [term for term in unseen.terms if term in text]


def test_series_and_unseen_ones_share_the_colours() -> None:
    with pytest.raises(ValueError, match="25 together; wanted 24 at most"):
        WorldConfig(series=24, unseen=1)
