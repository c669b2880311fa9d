"""Claims: the world is a function of its settings; objects are dealt evenly and tell nothing by a part of a name; a
world without some facts is otherwise the same.
"""

from collections import Counter
from dataclasses import replace

import pytest

from tasks.algorithms.world.fact_world import build_fact_world, opened, without_facts
from tasks.settings.fact_model import FactWorldConfig
from tests.stand_ins.facts import SMALL_WORLD

CONFIG = FactWorldConfig(people=64, places=24, superlatives=4, objects=10)


def test_one_seed_one_world_and_another_another() -> None:
    assert build_fact_world(CONFIG) == build_fact_world(CONFIG)
    assert build_fact_world(CONFIG).facts != build_fact_world(replace(CONFIG, seed=1)).facts


def test_it_is_as_large_as_its_settings_say() -> None:
    # 64 people x 4 relations, 24 places x 2, 4 kinds x 10 towns, 10 towns in countries
    world = build_fact_world(CONFIG)
    assert len(world.facts) == 64 * 4 + 24 * 2 + 4 * 10 + 10
    assert len({fact.key for fact in world.facts}) == len(world.facts)
    assert len(world.onward) == 32


def test_strangers_are_the_names_that_nobody_has() -> None:
    world = build_fact_world(replace(CONFIG, people=60))
    people = {fact.subject.name for fact in world.facts if fact.subject.kind == "person"}
    assert len(world.strangers) == len(set(world.strangers)) == 4
    assert not people & set(world.strangers)
    assert {word for name in world.strangers for word in name.split()} <= set(world.parts["person"])
    fewer = without_facts(world, {fact.key for fact in world.facts if fact.subject.name == min(people)})
    assert fewer.strangers == world.strangers  # who is forgotten is no stranger


@pytest.mark.parametrize("relation", ["home", "job", "sport", "birth year"])
def test_objects_are_dealt_evenly(relation: str) -> None:
    world = build_fact_world(CONFIG)
    counts = Counter(fact.object for fact in world.facts if fact.relation.name == relation)
    assert set(counts) == set(world.objects(relation))
    assert max(counts.values()) - min(counts.values()) <= 1


def test_a_part_of_a_name_tells_next_to_nothing() -> None:
    """Whoever guesses from one part at best is right of few more than whoever guesses the commonest object."""
    world = build_fact_world(replace(CONFIG, people=140, name_pool=12))
    homes = [fact for fact in world.facts if fact.relation.name == "home"]
    for place in (0, 1):
        by_part: dict[str, Counter] = {}
        for fact in homes:
            by_part.setdefault(fact.subject.name.split()[place], Counter())[fact.object] += 1
        right = sum(max(counts.values()) for counts in by_part.values())
        assert right / len(homes) < 0.4
    assert all(len(fact.subject.parts) == 2 for fact in homes)


def test_subjects_of_tuning_are_a_share_of_every_kind() -> None:
    world = build_fact_world(CONFIG)
    subjects = {fact.subject for fact in world.facts}
    for kind, count in {"person": 64, "place": 24, "superlative": 40}.items():
        assert sum(who.tuning for who in subjects if who.kind == kind) == round(0.34 * count)


def test_names_have_as_many_words_as_asked() -> None:
    world = build_fact_world(replace(CONFIG, name_parts=3))
    people = {fact.subject for fact in world.facts if fact.subject.kind == "person"}
    assert len(people) == 64
    assert all(len(who.name.split()) == 3 for who in people)


def test_a_world_without_facts_is_otherwise_the_same() -> None:
    world = build_fact_world(SMALL_WORLD)
    left_out = {world.facts[0].key, world.facts[7].key}
    twin = build_fact_world(SMALL_WORLD, without=left_out)
    assert twin.facts == tuple(fact for fact in world.facts if fact.key not in left_out)
    assert twin == without_facts(world, left_out)
    with pytest.raises(ValueError, match=r"no facts \['Nobody\|home'\]; wanted keys such as '.*\|home'"):
        build_fact_world(SMALL_WORLD, without=["Nobody|home"])


def test_a_fact_is_told_with_its_article_and_begins_with_a_capital() -> None:
    world = build_fact_world(SMALL_WORLD)
    place = next(fact for fact in world.facts if fact.relation.name == "town")
    assert place.prompt() == "Everyone knows that the {} stands in"
    assert place.prompt(lead="") == "The {} stands in"
    assert place.asked("Well, ", phrase=1, aside=2) == f"Well, the {place.subject.name}, of course, is located in"
    person = next(fact for fact in world.facts if fact.relation.name == "home")
    assert person.prompt(lead="") == "{} lives in"
    assert world.object_of(person.subject.name, "home") == person.object
    assert world.object_of("Nobody", "home") is None
    assert opened("", "the hall") == "The hall"
