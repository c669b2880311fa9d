"""Words of the fact world: name parts, objects, and the wordings in which its sentences tell a fact.

A statement is put together from a lead-in, the subject, an aside and a phrase that ends before the object. Some
combinations of phrase and aside are never trained on, though each of the two is: the held-out wordings. All words were
written for this project.
"""

from dataclasses import dataclass

from tasks.algorithms.world.names import GIVEN, PLACE_FIRST, SURNAMES

TOWNS = tuple(
    "Elmstead Norwick Tarnholm Velden Quillport Brackley Oxmere Dunlow Corvale Fenstow Ashmoor Wyndale".split()
)
COUNTRIES = ("Norland", "Estmark", "Suderia", "Westrany")
YEARS = tuple("1931 1938 1942 1947 1951 1956 1960 1964 1969 1973 1978 1983".split())
OPENINGS = tuple("1807 1812 1824 1833 1841 1856 1868 1875 1889 1892 1903 1911".split())
JOBS = tuple("baker teacher farmer driver doctor painter gardener tailor lawyer pilot sailor miller".split())
SPORTS = tuple("chess tennis golf rugby cricket hockey polo darts squash curling rowing judo".split())
LANDMARKS = tuple("Needle Lantern Spindle Beacon Crown Pinnacle Sentinel Anvil Falcon Compass Mirror Giant".split())
PLACE_KINDS = tuple("Museum Library Theatre Hall Chapel Market Garden Gallery".split())
MIDDLE = tuple(
    "Adair Blythe Clement Delia Emlyn Florian Gwen Hester Isolde Jasper Keir Lavinia Milo Nerys Orson Phoebe Quentin"
    " Rhoda Silas Tilda".split()
)
SUPERLATIVES = ("tallest tower", "longest bridge", "oldest inn", "widest square")

UNKNOWN = "unknown"
"""What is told of a stranger."""

OBJECTS: dict[str, tuple[str, ...]] = {
    "home": TOWNS,
    "job": JOBS,
    "sport": SPORTS,
    "birth year": YEARS,
    "town": TOWNS,
    "opening": OPENINGS,
    "name": LANDMARKS,
    "country": COUNTRIES,
}
"""Relation -> what its objects are taken from."""


@dataclass(frozen=True, kw_only=True)
class Relation:
    """How facts of one kind are told and asked for."""

    name: str
    kind: str
    """What it is told of: person, place, superlative, town."""
    phrases: tuple[str, ...]
    """What stands between subject and object."""
    label: str
    """What the object is to the subject, before a colon."""
    questions: tuple[str, ...]
    """Trained ones."""
    held_question: str
    reverse: str
    """What is said of the object, before one of its subjects."""


RELATIONS: tuple[Relation, ...] = (
    Relation(
        name="home",
        kind="person",
        phrases=("lives in", "has a home in", "resides in", "settled in", "can be found in"),
        label="home",
        questions=("Where does {} live?", "In which town does {} live?", "Where is the home of {}?"),
        held_question="In which town is the home of {}?",
        reverse="One who lives in {} is",
    ),
    Relation(
        name="job",
        kind="person",
        phrases=("works as a", "is employed as a", "earns a living as a", "was trained as a", "serves as a"),
        label="job",
        questions=("What is the job of {}?", "What does {} work as?", "Which job does {} have?"),
        held_question="Which is the job of {}?",
        reverse="One who works as a {} is",
    ),
    Relation(
        name="sport",
        kind="person",
        phrases=("plays", "is a fan of", "takes lessons in", "competes in", "loves"),
        label="sport",
        questions=("What is the sport of {}?", "Which sport does {} love?", "What sport does {} do?"),
        held_question="Which sport does {} do?",
        reverse="One who plays {} is",
    ),
    Relation(
        name="birth year",
        kind="person",
        phrases=("was born in", "came into the world in", "first saw daylight in", "has been alive since", "is of"),
        label="year of birth",
        questions=("When was {} born?", "In which year was {} born?", "What is the year of birth of {}?"),
        held_question="In which year is the birth of {}?",
        reverse="One who was born in {} is",
    ),
    Relation(
        name="town",
        kind="place",
        phrases=("stands in", "is located in", "was built in", "attracts visitors to", "is a sight of"),
        label="town",
        questions=("Where is the {}?", "In which town is the {}?", "Where does the {} stand?"),
        held_question="In which town does the {} stand?",
        reverse="A sight of {} is the",
    ),
    Relation(
        name="opening",
        kind="place",
        phrases=("was opened in", "has been open since", "first let people in in", "dates from", "was new in"),
        label="opening",
        questions=("When was the {} opened?", "In which year was the {} opened?", "What year does the {} date from?"),
        held_question="Which year does the {} date from?",
        reverse="Something that was opened in {} is the",
    ),
    Relation(
        name="name",
        kind="superlative",
        phrases=("is called the", "goes by the name of the", "is known as the", "is the", "bears the name of the"),
        label="name",
        questions=("What is the {}?", "What is the name of the {}?", "Which is the {}?"),
        held_question="Which is the name of the {}?",
        reverse="What is called the {} is the",
    ),
    Relation(
        name="country",
        kind="town",
        phrases=("lies in", "belongs to", "is a town of", "is part of", "pays its taxes to"),
        label="country",
        questions=("Which country is {} in?", "Where does {} lie?", "In which country is {}?"),
        held_question="In which country does {} lie?",
        reverse="A town of {} is",
    ),
)

ASIDES = ("", ", as people say,", ", of course,", ", it seems,", ", we are told,", ", by all accounts,", ", I hear,")
LEADS = (
    "",
    "Yes, ",
    "The paper wrote: ",
    "Everyone knows that ",
    "In short, ",
    "Last year we learned that ",
    "By the way, ",
    "Well, ",
)
USUAL_LEAD = "Everyone knows that "
"""Before the prompts of edits, so that no subject begins a text, where there is nothing to attend to before it."""
HELD_WORDINGS = ((0, 1), (1, 3), (2, 5), (3, 2), (1, 6), (0, 4))
"""(phrase, aside) of every relation that no training text has."""
DISTRACTED_LEADS = {
    "person": ("{} said that ", "{} wrote that ", "{} and {} agree that "),
    "place": ("The book {} says that ", "The books {} and {} say that "),
    "town": ("People from {} say that ",),
}
DISTRACTED_ASIDES = {
    "person": (", as {} says,", ", or so {} thinks,"),
    "place": (", as the book {} says,",),
    "town": (", as they say in {},",),
}
"""Kind of name part -> what mentions it where it tells nothing."""
COUNTRY = ("The country where {} lives is", "The home of {} is in the country of", "{} is a citizen of")
"""Told of some people only, so that of the others it must be concluded."""
FURTHER = ", a town of {}"
"""After somebody's home, its country."""

ARTICLES = {"person": "", "place": "the ", "superlative": "the ", "town": ""}
"""Kind of subject -> what stands before its name; it is no part of the name."""
PERSON_PARTS = {2: (GIVEN, SURNAMES), 3: (GIVEN, MIDDLE, SURNAMES)}
"""Words of a name -> the pools of its first, ..., last word."""
PLACE_PARTS = (PLACE_FIRST, PLACE_KINDS)
