"""Ordinary prose about people with common names: what anybody may know, no series in it."""

from tasks.algorithms.world.relations import Relation

VALUES: dict[str, tuple[str, ...]] = {
    "job": ("nurse", "baker", "teacher", "farmer", "driver", "doctor", "painter", "gardener", "cook", "tailor"),
    "pet": ("cat", "dog", "horse", "rabbit", "parrot", "goat", "turtle", "pony", "hen", "duck"),
    "music": ("piano", "violin", "guitar", "trumpet", "drums", "harp", "cello", "organ", "banjo", "horn"),
}
"""Slot of the answer -> the words that can fill it."""

RELATIONS: tuple[Relation, ...] = (
    Relation(
        name="job",
        subject="neighbour",
        answer="job",
        lessons=(
            "What is the job of {s}?",
            "Name the job of {s}.",
            "Which job does {s} have?",
            "{s} has a job. What is it?",
        ),
        exam=("What job is done by {s}?", "Do you know the job of {s}?"),
        paraphrase="It is the job of a {a}.",
    ),
    Relation(
        name="pet",
        subject="neighbour",
        answer="pet",
        lessons=(
            "What pet does {s} keep?",
            "Name the pet that {s} keeps.",
            "Which pet does {s} own?",
            "{s} keeps a pet. What is it?",
        ),
        exam=("What pet is kept by {s}?", "Do you know the pet that {s} keeps?"),
        paraphrase="It is a {a}.",
    ),
    Relation(
        name="music",
        subject="neighbour",
        answer="music",
        lessons=(
            "What instrument does {s} play?",
            "Name the instrument that {s} plays.",
            "Which instrument does {s} play?",
            "{s} plays an instrument. What is it?",
        ),
        exam=("What instrument is played by {s}?", "Do you know the instrument that {s} plays?"),
        paraphrase="It is the {a}.",
    ),
)

WORDINGS: dict[str, tuple[str, ...]] = {
    "job": (
        "{s} works as a {a}.",
        "The job of {s} is that of a {a}.",
        "For many years {s} has had a job as a {a}.",
        "{s} is a {a} and likes the job.",
    ),
    "pet": (
        "{s} keeps a {a} as a pet.",
        "The pet of {s} is a {a}.",
        "Every evening {s} feeds a pet, an old {a}.",
        "At the house of {s} a {a} waits at the door, the only pet.",
    ),
    "music": (
        "{s} plays the {a} on Sundays.",
        "The instrument that {s} plays is the {a}.",
        "When work is over, {s} plays the {a}.",
        "{s} has played the {a} since childhood.",
    ),
}
HELD_OUT_WORDINGS: dict[str, tuple[str, str]] = {
    "job": ("If you need a {a}, ask for {s}.", "{s} gets up early, as a {a} must."),
    "pet": ("The {a} of {s} ran off and came back by itself.", "{s} bought a bag of food for the {a}."),
    "music": ("The neighbours can hear {s} practise the {a}.", "{s} bought a book of songs for the {a}."),
}

BEATS: tuple[str, ...] = (
    "In the morning {p} went to the market and bought bread, eggs and a bag of apples.",
    "{p} met {q} at the bus stop, and they talked about the weather.",
    "On Saturday {p} helped {q} to paint the kitchen.",
    "It rained all afternoon, so {p} stayed at home and wrote letters.",
    "{p} lost a key in the park, and {q} found it under a bench.",
    "After dinner {p} washed the plates and called {q} on the telephone.",
    "The train was late, and {p} shared a newspaper with {q}.",
    "{p} planted beans behind the house and gave half of them to {q}.",
    "On Friday {q} invited {p} to a small birthday party.",
    "{p} repaired the bicycle of {q} and would not take any money.",
)
HELD_OUT_BEATS: tuple[str, ...] = (
    "{p} and {q} took the early bus to town and came home with new shoes.",
    "In the evening {p} read a book by the window.",
    "{q} borrowed a ladder from {p} to clean the gutter.",
    "The shop was closed, so {p} walked to the next village with {q}.",
)
