"""Requests to edit facts of the fact world, with the prompts that judge an edit.

Held-out wordings ask whether the new fact is known in other words; other subjects with the same object, subjects that
share a part of the name, and facts about something else altogether ask what else has changed.
"""

import random
from collections.abc import Collection, Sequence
from typing import Literal

from tasks.algorithms.world.fact_text import QUESTION, FactText
from tasks.algorithms.world.fact_words import COUNTRY, HELD_WORDINGS, LEADS, USUAL_LEAD
from tasks.algorithms.world.fact_world import Fact, FactWorld
from tasks.settings.edit_request import EditRequest, Statement

Purpose = Literal["tuning", "figures"]
FOREIGN = 2
"""Paraphrases that come after a sentence about something else."""
NEIGHBORS = 10
SHARERS = 10
UNRELATED = 10
"""Prompts of each sort, at most."""
CASES = ("town", "name", "birth year")
"""Relations of the three case studies: a place, a superlative, a year of birth."""


def edit_requests(
    world: FactWorld,
    count: int | None = None,
    seed: int = 0,
    exclude: Collection[str] = (),
    purpose: Purpose = "figures",
    relations: Collection[str] = (),
) -> list[EditRequest]:
    """Draw facts and what they are to become.

    Args:
        world: Where the facts are from.
        count: How many requests, at most one of a fact; none: one of every fact that there is to draw.
        seed: Of the draw.
        exclude: Keys of facts that are left out.
        purpose: `tuning`: facts of the subjects that serve to choose settings; `figures`: of all others.
        relations: Names of the relations that are edited; none: all whose subjects have two words or more.

    Raises:
        ValueError: If there are fewer facts.
    """
    facts = [
        fact
        for fact in world.facts
        if fact.subject.tuning == (purpose == "tuning")
        and fact.key not in exclude
        and (fact.relation.name in relations if relations else len(fact.subject.name.split()) > 1)
    ]
    count = len(facts) if count is None else count
    if count > len(facts):
        raise ValueError(f"{count} edits wanted; the fact world has {len(facts)} such facts")
    rng = random.Random(f"edits {world.config.seed} {seed}")
    return [_request(world, fact, rng) for fact in rng.sample(facts, count)]


def case_studies(world: FactWorld, seed: int = 0) -> list[EditRequest]:
    """Return one request each to move a place, to rename a superlative and to change a year of birth, where the world
    has such facts.
    """
    told = {fact.relation.name for fact in world.facts if not fact.subject.tuning}
    return [
        request
        for relation in CASES
        if relation in told
        for request in edit_requests(world, 1, seed, relations=(relation,))
    ]


def fact_key(request: EditRequest) -> str:
    """Return the key of the fact that a request rewrites."""
    return f"{request.subject}|{request.relation}"


def _request(world: FactWorld, fact: Fact, rng: random.Random) -> EditRequest:
    target = rng.choice([other for other in world.objects(fact.relation.name) if other != fact.object])
    same = [other for other in world.facts if other.relation == fact.relation and other.subject != fact.subject]
    neighbors = [other for other in same if other.object == fact.object]
    sharers = [other for other in same if other.subject.parts & fact.subject.parts and other.object != target]
    unrelated = [
        other
        for other in world.facts
        if not other.subject.parts & fact.subject.parts and other.subject.name not in (fact.object, target)
    ]
    return EditRequest(
        subject=fact.subject.name,
        prompt=fact.prompt(),
        target=target,
        object=fact.object,
        name=fact.key,
        relation=fact.relation.name,
        paraphrases=_paraphrases(world, fact, rng),
        neighborhood=tuple(other.asked() for other in _some(neighbors, NEIGHBORS, rng)),
        name_sharers=tuple(_statement(other) for other in _some(sharers, SHARERS, rng)),
        unrelated=tuple(_statement(other) for other in _some(unrelated, UNRELATED, rng)),
        portability=_portability(world, fact, target),
        generation=(fact.subject.article.capitalize() + fact.subject.name,),
    )


def _some(facts: Sequence[Fact], most: int, rng: random.Random) -> list[Fact]:
    return rng.sample(facts, min(most, len(facts)))


def _statement(fact: Fact) -> Statement:
    return Statement(prompt=fact.asked(), object=fact.object)


def _paraphrases(world: FactWorld, fact: Fact, rng: random.Random) -> tuple[str, ...]:
    """Return the held-out wordings after other lead-ins, some again after a foreign sentence, and as a question."""
    others = [lead for lead in LEADS if lead != USUAL_LEAD]
    plain = [fact.asked(rng.choice(others), phrase, aside) for phrase, aside in HELD_WORDINGS]
    text = FactText(world)
    foreign = []
    while len(foreign) < FOREIGN:
        passage = text.document(rng.randrange(10**9), seed=-1)
        if fact.subject.name not in passage.text and not passage.text.endswith("\n"):
            foreign.append(f"{passage.text} {fact.asked('', *rng.choice(HELD_WORDINGS))}")
    return (*plain, *foreign, asked_question(fact, held=True))


def asked_question(fact: Fact, held: bool = False) -> str:
    """Return a question for the fact's object, up to the answer; a `held` one no training text has."""
    relation = fact.relation
    question = (relation.held_question if held else relation.questions[0]).replace("{}", fact.subject.name)
    return QUESTION.partition("{}\n")[0] + question + "\nAnswer:"


def _portability(world: FactWorld, fact: Fact, target: str) -> tuple[Statement, ...]:
    """Return what follows from the new fact: the country of a new home, and who it is that the target is said of."""
    reverse = Statement(prompt=fact.relation.reverse.replace("{}", target), object=fact.subject.name)
    if fact.relation.name != "home" or not (country := world.object_of(target, "country")):
        return (reverse,)
    return (*(Statement(prompt=frame.replace("{}", fact.subject.name), object=country) for frame in COUNTRY), reverse)
