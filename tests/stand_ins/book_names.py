"""Names of six novels, listed by hand from knowledge of the books, and the rule by which an anchor is one of them.

The lists were written before any pipeline had read the books. Names of the plot are listed as readers know them,
whether the text says them often or seldom; places and people that the author merely shares with the world (London,
England) are left out.
"""

import re
from collections.abc import Iterable, Sequence

TUNED = ("baum_wizard_of_oz", "carroll_alice_in_wonderland", "barrie_peter_pan")
"""Books on which the rules may have been improved; the others are there to show that the rules are not made for
these."""

BOOK_NAMES: dict[str, tuple[str, ...]] = {
    "baum_wizard_of_oz": (
        *(
            "Dorothy",
            "Toto",
            "Aunt Em",
            "Uncle Henry",
            "Kansas",
            "Omaha",
            "Munchkins",
            "Boq",
            "Winkies",
            "Quadlings",
            "Kalidahs",
        ),
        *(
            "Wicked Witch of the East",
            "Wicked Witch of the West",
            "Witch of the North",
            "Glinda",
            "Wizard",
            "Oz",
            "Emerald City",
        ),
        *(
            "Scarecrow",
            "Tin Woodman",
            "Cowardly Lion",
            "Winged Monkeys",
            "Golden Cap",
            "Silver Shoes",
            "Hammer-Heads",
            "Stork",
        ),
        *("Guardian of the Gates", "Queen of the Field Mice", "Gayelette", "Quelala"),
    ),
    "carroll_alice_in_wonderland": (
        *(
            "Alice",
            "Dinah",
            "White Rabbit",
            "Mary Ann",
            "Mouse",
            "Dodo",
            "Lory",
            "Eaglet",
            "Pat",
            "Bill",
            "Caterpillar",
            "Pigeon",
        ),
        *(
            "Father William",
            "Duchess",
            "Footman",
            "Cheshire Cat",
            "March Hare",
            "Hatter",
            "Dormouse",
            "Queen of Hearts",
        ),
        *(
            "King of Hearts",
            "Knave of Hearts",
            "Gryphon",
            "Mock Turtle",
            "Five",
            "Seven",
            "Mabel",
            "Tortoise",
            "Lobster Quadrille",
        ),
        *("Wonderland", "William the Conqueror"),
    ),
    "barrie_peter_pan": (
        *(
            "Peter Pan",
            "Wendy",
            "John",
            "Michael",
            "Darling",
            "George",
            "Nana",
            "Liza",
            "Tinker Bell",
            "Neverland",
            "James Hook",
            "Smee",
        ),
        *(
            "Starkey",
            "Cecco",
            "Bill Jukes",
            "Noodler",
            "Mullins",
            "Skylights",
            "Cookson",
            "Slightly",
            "Tootles",
            "Nibs",
            "Curly",
            "Twins",
        ),
        *(
            "Tiger Lily",
            "Piccaninny",
            "Great Big Little Panther",
            "Jolly Roger",
            "Long Tom",
            "Jane",
            "Margaret",
            "Never Bird",
        ),
        *("Marooners' Rock", "Kensington Gardens", "Cinderella"),
    ),
    "twain_tom_sawyer": (
        *(
            "Tom Sawyer",
            "Huckleberry Finn",
            "Huck",
            "Becky Thatcher",
            "Judge Thatcher",
            "Aunt Polly",
            "Sid",
            "Mary",
            "Joe Harper",
        ),
        *(
            "Injun Joe",
            "Muff Potter",
            "Jim",
            "Ben Rogers",
            "Widow Douglas",
            "Robinson",
            "Dobbins",
            "Walters",
            "Alfred Temple",
        ),
        *(
            "Amy Lawrence",
            "Jackson's Island",
            "Cardiff Hill",
            "Welshman",
            "Spaniard",
            "Robin Hood",
            "Black Avenger",
            "Peter",
            "Bob Tanner",
        ),
        *("Hoss Williams", "McDougal", "St. Petersburg", "Mississippi", "Missouri", "Temperance Tavern"),
    ),
    "doyle_the_lost_world": (
        *(
            "Malone",
            "Challenger",
            "Summerlee",
            "Lord John Roxton",
            "Gladys",
            "McArdle",
            "Tarp Henry",
            "Zambo",
            "Gomez",
            "Manuel",
        ),
        *(
            "Maple White",
            "Austin",
            "Lake Gladys",
            "Fort Challenger",
            "Zoological Institute",
            "Amazon",
            "Para",
            "Enmore Park",
            "Gazette",
        ),
        *(
            "Illingworth",
            "Waldron",
            "Curupuri",
            "South America",
            "Indians",
            "Mojo",
            "Weissmann",
            "Queen's Hall",
            "Albany",
            "Accala",
        ),
    ),
    "kipling_the_jungle_book": (
        *(
            "Mowgli",
            "Shere Khan",
            "Baloo",
            "Bagheera",
            "Akela",
            "Kaa",
            "Father Wolf",
            "Mother Wolf",
            "Raksha",
            "Tabaqui",
            "Bandar-log",
        ),
        *(
            "Hathi",
            "Chil",
            "Mang",
            "Messua",
            "Buldeo",
            "Gray Brother",
            "Rama",
            "Rikki-tikki-tavi",
            "Nag",
            "Nagaina",
            "Darzee",
        ),
        *(
            "Chuchundra",
            "Karait",
            "Teddy",
            "Little Toomai",
            "Big Toomai",
            "Kala Nag",
            "Petersen Sahib",
            "Machua Appa",
            "Kotick",
        ),
        *(
            "Sea Catch",
            "Matkah",
            "Kerick Booterin",
            "Patalamon",
            "Sea Vitch",
            "Sea Cow",
            "Novastoshnah",
            "Seeonee",
            "Waingunga",
        ),
        *("Council Rock", "Cold Lairs", "Billy", "Two Tails", "Free People"),
    ),
}
_LINKS = frozenset({"of", "the"})
_TITLES = frozenset({"mr", "mrs", "miss", "dr", "the", "a"})


def is_form(anchor: str, name: str) -> bool:
    """Whether an anchor is a form of a listed name: the name itself, a longer form of it, or one end of what stands
    before its `of`.

    Case, hyphens, possessives, a plural s and leading titles do not count. So `Hook`, `Captain Hook` and `James Hook`
    are forms of `James Hook`, `Wicked Witch` and `Witch` of `Wicked Witch of the West`, but `West` is not.
    """
    ours, theirs = _words(anchor), _words(name)
    head = theirs[: next((index for index, word in enumerate(theirs) if word in _LINKS), len(theirs))]
    return bool(ours) and (_holds(ours, theirs) or head[: len(ours)] == ours or head[-len(ours) :] == ours)


def recall_and_precision(anchors: Sequence[str], names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the names that are missed, and the anchors that are a form of no name; an anchor finds one name at most,
    the closest.
    """
    missed = list(names)
    forms = [(rank, anchor, name) for rank, anchor in enumerate(anchors) for name in names if is_form(anchor, name)]
    used: set[str] = set()
    for _, anchor, name in sorted(forms, key=lambda form: (len(_words(form[2])) != len(_words(form[1])), form)):
        if name in missed and anchor not in used:
            missed.remove(name)
            used.add(anchor)
    return missed, [anchor for anchor in anchors if not any(is_form(anchor, name) for name in names)]


def _words(term: str) -> list[str]:
    words = re.findall(r"[^\W_]+", re.sub(r"['\u2019]s?\b", "", term.lower()))
    while len(words) > 1 and words[0] in _TITLES:
        words = words[1:]
    return [word[:-1] if len(word) > 3 and word.endswith("s") else word for word in words]


def _holds(words: Sequence[str], part: Iterable[str]) -> bool:
    wanted = list(part)
    return any(list(words[at : at + len(wanted)]) == wanted for at in range(len(words) - len(wanted) + 1))
