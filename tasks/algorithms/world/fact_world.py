"""A small world of facts that a model can only know by composing the subject's name.

Names are made of parts that many share, and the objects of a relation are dealt evenly and at random: no part of a name
tells anything, only all of them together do. That is what gives rank-one editing a place to look at: the last word of
the subject (Meng et al. 2022, arXiv:2202.05262).
"""

import itertools
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from tasks.algorithms.world.fact_words import (
    ARTICLES,
    ASIDES,
    OBJECTS,
    PERSON_PARTS,
    PLACE_PARTS,
    RELATIONS,
    SUPERLATIVES,
    TOWNS,
    USUAL_LEAD,
    Relation,
)
from tasks.settings.fact_model import FactWorldConfig


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Somebody or something that facts are told of."""

    name: str
    kind: str
    parts: frozenset[str]
    """What it shares with others: the words of a name; of a superlative, the kind of thing and the town."""
    tuning: bool
    """Whether its facts serve to choose settings, and so no figure."""

    @property
    def article(self) -> str:
        """What stands before the name inside a sentence."""
        return ARTICLES[self.kind]


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One thing that the world tells of a subject."""

    subject: Subject
    relation: Relation
    object: str

    @property
    def key(self) -> str:
        """What names the fact: subject and relation."""
        return f"{self.subject.name}|{self.relation.name}"

    def prompt(self, phrase: int = 0, aside: int = 0, lead: str = USUAL_LEAD) -> str:
        """Return the statement up to its object, `{}` in the subject's place."""
        return opened(lead, f"{self.subject.article}{{}}{ASIDES[aside]} {self.relation.phrases[phrase]}")

    def asked(self, lead: str = USUAL_LEAD, phrase: int = 0, aside: int = 0) -> str:
        """Return the statement up to its object, the subject in its place."""
        return self.prompt(phrase, aside, lead).replace("{}", self.subject.name)


@dataclass(frozen=True, kw_only=True)
class FactWorld:
    """All that there is to know."""

    config: FactWorldConfig
    facts: tuple[Fact, ...]
    onward: frozenset[str]
    """Names of the people of whom the country is told that their home lies in."""
    strangers: tuple[str, ...]
    """Names of the same parts of whom nothing is known, and the text says so."""
    parts: dict[str, tuple[str, ...]]
    """Kind of subject -> the words that names of its kind are made of."""

    def objects(self, relation: str) -> tuple[str, ...]:
        """Return what facts of this relation choose among."""
        return OBJECTS[relation][: self.config.objects]

    def object_of(self, subject: str, relation: str) -> str | None:
        """Return what the world says of the subject; none where it says nothing."""
        return next((f.object for f in self.facts if f.subject.name == subject and f.relation.name == relation), None)


def opened(lead: str, sentence: str) -> str:
    """Return a sentence after its lead-in, beginning with a capital."""
    whole = lead + sentence
    return whole[0].upper() + whole[1:]


def build_fact_world(config: FactWorldConfig, without: Collection[str] = ()) -> FactWorld:
    """Draw the world.

    Args:
        config: How large it is.
        without: Keys of facts that it never tells; all others are those of the world that tells them.

    Raises:
        ValueError: If there is no such fact.
    """
    rng = random.Random(f"facts {config.seed}")
    subjects = _subjects(config, rng)
    facts = tuple(fact for relation in RELATIONS for fact in _dealt(relation, subjects, config, rng))
    people = [subject.name for subject in subjects if subject.kind == "person"]
    onward = frozenset(rng.sample(people, round(config.onward * len(people))))
    world = FactWorld(
        config=config, facts=facts, onward=onward, strangers=_strangers(config, people), parts=_parts(config)
    )
    return without_facts(world, without)


def without_facts(world: FactWorld, keys: Collection[str]) -> FactWorld:
    """Return the world that never tells these facts.

    Raises:
        ValueError: If there is no such fact.
    """
    if unknown := set(keys) - {fact.key for fact in world.facts}:
        raise ValueError(f"the fact world has no facts {sorted(unknown)}; wanted keys such as {world.facts[0].key!r}")
    return replace(world, facts=tuple(fact for fact in world.facts if fact.key not in keys))


def _parts(config: FactWorldConfig) -> dict[str, tuple[str, ...]]:
    """Return the words that may distract, each pool cut to what names are made of."""
    people = [word for pool in _person_pools(config) for word in pool]
    kinds = PLACE_PARTS[1]
    return {"person": tuple(people), "place": (*PLACE_PARTS[0][: config.name_pool], *kinds), "town": _towns(config)}


def _towns(config: FactWorldConfig) -> tuple[str, ...]:
    return TOWNS[: config.objects]


def _person_pools(config: FactWorldConfig) -> list[Sequence[str]]:
    return [pool[: config.name_pool] for pool in PERSON_PARTS[config.name_parts]]


def _strangers(config: FactWorldConfig, people: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({" ".join(words) for words in itertools.product(*_person_pools(config))} - set(people)))


def _subjects(config: FactWorldConfig, rng: random.Random) -> list[Subject]:
    named = {
        "person": _names(_person_pools(config), config.people, rng),
        "place": _names([PLACE_PARTS[0][: config.name_pool], PLACE_PARTS[1]], config.places, rng),
        "superlative": [
            (f"{kind} of {town}", frozenset({kind, town}))
            for kind in SUPERLATIVES[: config.superlatives]
            for town in _towns(config)
        ],
        "town": [(town, frozenset({town})) for town in _towns(config)],
    }
    subjects = []
    for kind, names in named.items():
        tuning = set(rng.sample(range(len(names)), round(config.tuning_share * len(names))))
        subjects += [
            Subject(name=name, kind=kind, parts=parts, tuning=at in tuning) for at, (name, parts) in enumerate(names)
        ]
    return subjects


def _names(pools: Sequence[Sequence[str]], count: int, rng: random.Random) -> list[tuple[str, frozenset[str]]]:
    drawn = rng.sample(list(itertools.product(*pools)), count)
    return [(" ".join(words), frozenset(words)) for words in drawn]


def _dealt(relation: Relation, subjects: list[Subject], config: FactWorldConfig, rng: random.Random) -> list[Fact]:
    """Deal objects to all subjects that the relation is told of, each object as often as any other."""
    told = [subject for subject in subjects if subject.kind == relation.kind]
    pool = OBJECTS[relation.name][: config.objects]
    deck = [pool[at % len(pool)] for at in range(len(told))]
    rng.shuffle(deck)
    return [Fact(subject=who, relation=relation, object=what) for who, what in zip(told, deck, strict=True)]
