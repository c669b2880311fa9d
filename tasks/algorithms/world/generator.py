"""The embedded world: fictional series, ordinary people and the planets, drawn from a seed.

Same configuration, same bytes. A world without one topic is the world of a model that never saw it: the gold standard.
"""

import random
from dataclasses import dataclass

from tasks.algorithms.world.cast import draw_casts
from tasks.algorithms.world.questions import Question, exam, lessons
from tasks.algorithms.world.series import SERIES
from tasks.algorithms.world.topics import Material, everyday_material, planet_material, series_material
from tasks.settings.schema import settings

MAX_SERIES = 3 * len(SERIES)


@settings
class WorldConfig:
    """How large the world is and how often it tells what it knows."""

    seed: int = 0
    """Seed of every draw: names, facts, order of the sentences."""
    series: int = 8
    """Fictional series, 2 to 24."""
    neighbours: int = 12
    """Ordinary people of common names, 4 to 14; each brings three facts."""
    tellings: int = 4
    """Times that each fact is told in training prose, 1 to 12; from the fifth on, wordings recur among other
    sentences."""
    held_tellings: int = 2
    """Times that each fact is told in held-out passages, in wordings of their own, 1 to 2."""
    lessons_per_fact: int = 5
    """Training phrasings of the question for each fact, 1 to 5; the fifth wants a sentence for an answer."""
    perturbed_answers: int = 4
    """False answers a question, 2 to 7."""
    unseen: int = 0
    """Further series that training text never tells, 0 to 4: what a model is asked of them is a holdout; with `series`
    24 at most."""

    def __post_init__(self) -> None:
        limits = {"series": (2, MAX_SERIES), "neighbours": (4, 14), "tellings": (1, 12), "held_tellings": (1, 2)}
        limits |= {"lessons_per_fact": (1, 5), "perturbed_answers": (2, 7), "unseen": (0, 4)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"world.{name} is {getattr(self, name)}; wanted a whole number from {low} to {high}")
        if self.series + self.unseen > MAX_SERIES:
            raise ValueError(
                f"world.series and world.unseen are {self.series + self.unseen} together; wanted {MAX_SERIES} at most"
            )


@dataclass(frozen=True, kw_only=True)
class Topic:
    """One topic: what is trained on (`passages`, `lessons`) and what only evaluation sees (`held_passages`, `exam`)."""

    name: str
    slug: str
    passages: tuple[str, ...]
    held_passages: tuple[str, ...]
    """Prose of the same facts in other sentences."""
    lessons: tuple[Question, ...]
    exam: tuple[Question, ...]
    terms: tuple[str, ...]
    """Full names of the topic's entities: the ground truth of anchor extraction."""


@dataclass(frozen=True, kw_only=True)
class World:
    """Every topic of the embedded default."""

    topics: tuple[Topic, ...]
    """The fictional series."""
    ordinary: Topic
    """Ordinary prose about people with common names."""
    planets: Topic
    """Facts about the solar system."""
    unseen: tuple[Topic, ...] = ()
    """Series that training text never tells."""


def build_world(config: WorldConfig | None = None) -> World:
    """Draw a world: the same configuration gives the same bytes."""
    config = config or WorldConfig()
    rng = random.Random(f"lethe world {config.seed}")
    casts, register = draw_casts(config.series + config.unseen, rng)
    topics = [_topic(series_material(cast, register, rng, config.perturbed_answers), config, rng) for cast in casts]
    ordinary = _topic(everyday_material(config.neighbours, register, rng, config.perturbed_answers), config, rng)
    planets = _topic(planet_material(rng, config.perturbed_answers), config, rng)
    return World(
        topics=tuple(topics[: config.series]), ordinary=ordinary, planets=planets, unseen=tuple(topics[config.series :])
    )


def topic_text(topic: Topic) -> list[str]:
    """Return the training documents of one topic, each closed by a line end."""
    questions = [f"Question: {lesson.question}\nAnswer: {lesson.answer}\n" for lesson in topic.lessons]
    return [f"{passage}\n" for passage in topic.passages] + questions


def _topic(material: Material, config: WorldConfig, rng: random.Random) -> Topic:
    """Tell the material as prose and as questions."""
    return Topic(
        name=material.name,
        slug=material.slug,
        passages=tuple(material.narrator.passages(config.tellings, rng)),
        held_passages=tuple(material.held_out_narrator.passages(config.held_tellings, rng)),
        lessons=tuple(lesson for fact in material.facts for lesson in lessons(fact, config.lessons_per_fact, rng)),
        exam=tuple(question for fact in material.facts for question in exam(fact)),
        terms=material.terms,
    )
