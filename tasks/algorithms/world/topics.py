"""The material of each topic: its facts, and narrators for training prose and for held-out passages."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.algorithms.world import everyday, planets, prose
from tasks.algorithms.world.cast import Cast, cast_facts
from tasks.algorithms.world.names import NameRegister
from tasks.algorithms.world.narrator import Narrator, Paint
from tasks.algorithms.world.questions import Fact, capitalise
from tasks.algorithms.world.relations import Relation


@dataclass(frozen=True, kw_only=True)
class Material:
    """Everything that a topic is told from."""

    name: str
    slug: str
    facts: list[Fact]
    narrator: Narrator
    held_out_narrator: Narrator
    terms: tuple[str, ...]


def series_material(cast: Cast, register: NameRegister, rng: random.Random, perturbed: int) -> Material:
    """Prepare a fictional series."""
    facts = cast_facts(cast, register, perturbed)
    by_relation = {fact.relation.name: fact for fact in facts}
    groups = [[by_relation[name] for name in theme] for theme in prose.THEMES]
    people = tuple(cast.of_kind("person"))
    beats, held_out_beats = (*cast.series.openings, *prose.BEATS), (*cast.series.held_openings, *prose.HELD_OUT_BEATS)
    return Material(
        name=cast.title,
        slug=cast.slug,
        facts=facts,
        narrator=Narrator(
            groups=groups, wordings=prose.WORDINGS, beats=beats, paint=_series_paint(cast), people=people
        ),
        held_out_narrator=Narrator(
            groups=groups,
            wordings=prose.HELD_OUT_WORDINGS,
            beats=held_out_beats,
            paint=_series_paint(cast),
            people=people,
        ),
        terms=(cast.title, *cast.names.values()),
    )


def everyday_material(count: int, register: NameRegister, rng: random.Random, perturbed: int) -> Material:
    """Prepare the ordinary people: each has a job, a pet and an instrument."""
    people = register.draw("neighbour", count)
    groups = [[_everyday_fact(name, relation, rng, perturbed) for relation in everyday.RELATIONS] for name in people]
    return Material(
        name="Ordinary people",
        slug="ordinary",
        facts=[fact for group in groups for fact in group],
        narrator=Narrator(
            groups=groups,
            wordings=everyday.WORDINGS,
            beats=everyday.BEATS,
            paint=_pair_paint(people),
            people=tuple(people),
        ),
        held_out_narrator=Narrator(
            groups=groups,
            wordings=everyday.HELD_OUT_WORDINGS,
            beats=everyday.HELD_OUT_BEATS,
            paint=_pair_paint(people),
            people=tuple(people),
        ),
        terms=tuple(people),
    )


def planet_material(rng: random.Random, perturbed: int) -> Material:
    """Prepare the planets: the order from the Sun, and what sets each apart."""
    groups = [_planet_facts(name, rng, perturbed) for name in planets.PLANETS]
    return Material(
        name="The planets",
        slug="planets",
        facts=[fact for group in groups for fact in group],
        narrator=Narrator(groups=groups, wordings=planets.WORDINGS, beats=planets.BEATS, paint=_plain_paint),
        held_out_narrator=Narrator(
            groups=groups, wordings=planets.HELD_OUT_WORDINGS, beats=planets.HELD_OUT_BEATS, paint=_plain_paint
        ),
        terms=planets.PLANETS,
    )


def _series_paint(cast: Cast) -> Paint:
    """Return a painter of events in the colours of a series."""
    people = [name for name in cast.of_kind("person") if name != cast.names["author"]]
    names = {"title": cast.title, "hero": cast.names["hero"], "crowd": cast.series.crowd}

    def paint(beat: str, focus: Sequence[str], rng: random.Random) -> str:
        p, q = _pair(people, focus, rng)
        l, m = rng.sample(cast.of_kind("place"), 2)  # noqa: E741
        colours = {key: rng.choice(getattr(cast.series, key)) for key in ("weather", "work", "food", "sound")}
        return capitalise(beat.format(p=p, q=q, l=l, m=m, **names, **colours))

    return paint


def _pair_paint(people: Sequence[str]) -> Paint:
    """Return a painter of events between two people."""

    def paint(beat: str, focus: Sequence[str], rng: random.Random) -> str:
        p, q = _pair(people, focus, rng)
        return beat.format(p=p, q=q)

    return paint


def _plain_paint(beat: str, focus: Sequence[str], rng: random.Random) -> str:
    """Return an event that holds no placeholder as it is."""
    return beat


def _pair(people: Sequence[str], focus: Sequence[str], rng: random.Random) -> tuple[str, str]:
    """Draw two people, the first of those whom the passage is about."""
    first = rng.choice([name for name in people if name in focus] or people)
    return first, rng.choice([name for name in people if name != first])


def _everyday_fact(person: str, relation: Relation, rng: random.Random, perturbed: int) -> Fact:
    values = everyday.VALUES[relation.answer]
    answer, *others = rng.sample(values, perturbed + 1)
    return Fact(
        name=f"ordinary/{relation.name}/{person}",
        relation=relation,
        subject=person,
        answer=answer,
        perturbed=tuple(others),
    )


def _planet_facts(planet: str, rng: random.Random, perturbed: int) -> list[Fact]:
    """State the two facts about a planet."""
    subjects = {planets.ORDER: planets.ORDINALS[planets.PLANETS.index(planet)], planets.MARK: planets.MARKS[planet]}
    others = [name for name in planets.PLANETS if name != planet]
    return [
        Fact(
            name=f"planets/{relation.name}/{planet}",
            relation=relation,
            subject=subject,
            answer=planet,
            perturbed=tuple(rng.sample(others, perturbed)),
        )
        for relation, subject in subjects.items()
    ]
