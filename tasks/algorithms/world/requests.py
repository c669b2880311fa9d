"""What may be asked to be forgotten: a whole series, or a ready topic that leaves text standing which tells of the same
things.

The ready topics are forms of one question, how far what was not given lives on:

    series, second-series   everything that the world tells of a series: a closed topic
    book                    the first book of the first series: some of its facts stand nowhere else, others are told in
    later books too planets                 one article on the planets; the rest of the world goes on to speak of them
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from tasks.algorithms.world import planets, prose
from tasks.algorithms.world.generator import Topic, World, topic_text

T = TypeVar("T")
READY = ("series", "book", "second-series", "planets")
OWN, SHARED = (0, 1), (2, 3)
"""Themes (places in `prose.THEMES`) that only the first book of a series tells, and those that later books tell too;
they alone tell the others."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is given to be forgotten."""

    name: str
    """Slug of a series, `book` or `planets`."""
    forget: Topic
    """The documents that are given, with the questions on what they tell."""
    rest: Topic
    """What the world tells of the same topic beside, with the questions on what only that tells; no documents where
    everything was given."""
    dictionary: Mapping[str, str]
    """Anchor -> generic translation, where the request brings its own."""


def read_request(world: World, name: str) -> Request:
    """Find what is asked for by a ready name, or the name or slug of a series; an empty name is the first series.

    Raises:
        KeyError: If there is none, with the known names listed.
    """
    if name == "book":
        return _book(world.topics[0])
    if name == "planets":
        return _article(world.planets)
    places = {"": 0, "series": 0, "second-series": 1}
    matching = [
        topic
        for number, topic in enumerate(world.topics)
        if name in (topic.slug, topic.name) or places.get(name) == number
    ]
    if not matching:
        raise KeyError(f"no topic {name!r}; known: {', '.join((*READY, *(topic.slug for topic in world.topics)))}")
    rest = replace(matching[0], passages=(), held_passages=(), lessons=(), exam=())
    return Request(name=matching[0].slug, forget=matching[0], rest=rest, dictionary={})


def world_text(world: World, without: str | None = None) -> list[str]:
    """Return the training documents: passages, and lessons in the question template, topic after topic.

    Args:
        world: The world to be told.
        without: Request whose documents are left out; all others are unchanged and in the same order.
    """
    request = read_request(world, without) if without is not None else None
    topics = (
        request.rest if request and topic.slug == request.rest.slug else topic
        for topic in (*world.topics, world.ordinary, world.planets)
    )
    return [document for topic in topics for document in topic_text(topic)]


def _book(series: Topic) -> Request:
    """The book tells its own themes throughout; of what is told again later, it holds half of the tellings and of the
    questions.
    """
    themes, own, shared = len(prose.THEMES), _facts(series, OWN), _facts(series, SHARED)
    half = (len(series.passages) // themes + 1) // 2
    passages = {
        n for n in range(len(series.passages)) if n % themes in OWN or (n % themes in SHARED and n // themes < half)
    }
    held_passages = {n for n in range(len(series.held_passages)) if n % themes in OWN + SHARED}
    lessons = {
        n for n, turn in enumerate(_turns(series)) if series.lessons[n].fact in (own if turn % 2 else own | shared)
    }
    forget, rest = _parted(series, passages, held_passages, lessons, own | shared)
    return Request(name="book", forget=forget, rest=rest, dictionary={})


def _article(topic: Topic) -> Request:
    """The article tells every fact once and asks for it once."""
    lessons = {n for n, turn in enumerate(_turns(topic)) if turn == 0}
    facts = {lesson.fact for lesson in topic.lessons}
    forget, rest = _parted(topic, range(len(planets.PLANETS)), range(len(topic.held_passages)), lessons, facts)
    return Request(name="planets", forget=forget, rest=rest, dictionary=planets.TRANSLATIONS)


def _facts(series: Topic, themes: Iterable[int]) -> frozenset[str]:
    return frozenset(f"{series.slug}/{relation}" for theme in themes for relation in prose.THEMES[theme])


def _turns(topic: Topic) -> list[int]:
    """Return for each lesson how many of the same fact come before it."""
    counts: Counter[str] = Counter()
    turns = []
    for lesson in topic.lessons:
        turns.append(counts[lesson.fact])
        counts[lesson.fact] += 1
    return turns


def _parted(
    topic: Topic, passages: Container[int], held: Container[int], lessons: Container[int], facts: Container[str]
) -> tuple[Topic, Topic]:
    """Part a topic into the documents of these numbers with the questions on these facts, and all others."""
    parted = {
        "passages": _sorted_out(topic.passages, passages),
        "held_passages": _sorted_out(topic.held_passages, held),
    }
    parted |= {"lessons": _sorted_out(topic.lessons, lessons)}
    parted |= {"exam": _sorted_out(topic.exam, {n for n, question in enumerate(topic.exam) if question.fact in facts})}
    chosen, others = ({name: parts[side] for name, parts in parted.items()} for side in (0, 1))
    return replace(topic, **chosen), replace(topic, **others)


def _sorted_out(items: tuple[T, ...], chosen: Container[int]) -> tuple[tuple[T, ...], tuple[T, ...]]:
    return tuple(item for n, item in enumerate(items) if n in chosen), tuple(
        item for n, item in enumerate(items) if n not in chosen
    )
