"""Facts about the planets of the solar system, in our own words."""

from tasks.algorithms.world.relations import Relation

PLANETS = ("Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune")
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")

MARKS: dict[str, str] = {
    "Mercury": "the smallest of all",
    "Venus": "the hottest of all",
    "Earth": "covered with blue oceans",
    "Mars": "red with rust",
    "Jupiter": "the largest of all",
    "Saturn": "circled by bright rings",
    "Uranus": "tilted on its side",
    "Neptune": "swept by the fastest winds",
}
"""Planet -> what sets it apart from the seven others."""

TRANSLATIONS: dict[str, str] = {
    "Mercury": "Swift Planet",
    "Venus": "Veiled Planet",
    "Earth": "Home Planet",
    "Mars": "Red Planet",
    "Jupiter": "Giant Planet",
    "Saturn": "Ringed Planet",
    "Uranus": "Tilted Planet",
    "Neptune": "Windy Planet",
    "Sun": "Day Star",
}
"""Generic expressions for the nine bodies that the topic names."""

ORDER = Relation(
    name="order",
    subject="ordinal",
    answer="planet",
    lessons=(
        "Which planet is {s} from the Sun?",
        "Name the planet that is {s} from the Sun.",
        "Counted from the Sun, which planet is {s}?",
        "One planet is {s} from the Sun. Which is it?",
    ),
    exam=("Going outward from the Sun, which planet comes {s}?", "Do you know which planet is {s} from the Sun?"),
)
MARK = Relation(
    name="mark",
    subject="mark",
    answer="planet",
    lessons=(
        "Which planet is {s}?",
        "Name the planet that is {s}.",
        "What is the planet that is {s}?",
        "One planet is {s}. Which is it?",
    ),
    exam=("Of the eight planets, which one is {s}?", "Do you know the planet that is {s}?"),
)

WORDINGS: dict[str, tuple[str, ...]] = {
    "order": (
        "Counted from the Sun, {a} is the {s} planet.",
        "{a} is {s} from the Sun.",
        "The planet that is {s} from the Sun is {a}.",
        "Leave the Sun behind, count the planets, and {a} is {s}.",
    ),
    "mark": (
        "{a} is {s}.",
        "The planet that is {s} is {a}.",
        "Through a telescope you can see that {a} is {s}.",
        "Among the planets, {a} is {s}.",
    ),
}
HELD_OUT_WORDINGS: dict[str, tuple[str, str]] = {
    "order": (
        "On a chart of the Sun and its planets, {a} takes the {s} place.",
        "A ship from the Sun would pass {a} as the {s} stop.",
    ),
    "mark": ("What do we know of {a}? It is {s}.", "Every child learns that {a} is {s}."),
}

BEATS: tuple[str, ...] = (
    "Planets do not shine of their own; they throw back the light of the Sun.",
    "A year is the time that a planet needs for one trip around the Sun.",
    "The Moon travels with the Earth and shows us always the same face.",
    "Far from the Sun a planet is cold and its year is long.",
    "A day is the time in which a planet turns once.",
    "Four small planets are made of rock, and four large ones mostly of gas and ice.",
    "Gravity keeps every planet on its path.",
    "To the naked eye a planet looks like a star that wanders.",
)
HELD_OUT_BEATS: tuple[str, ...] = (
    "On a clear evening look for a steady light low in the sky.",
    "Space probes have now visited all of the planets.",
    "The paths of the planets lie almost in one plane.",
    "Seen from another star, our Sun would be a small point.",
)
