"""Relations of the fictional series and the ways of asking for them.

`{s}` is the subject, `{S}` the same with a capital first letter, `{a}` the answer. `lessons` are the phrasings of
training; `exam` phrasings belong to evaluation alone: neither they nor their wording occur in any training text.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Relation:
    """One kind of fact: what links a subject to an answer, and how it is asked for."""

    name: str
    subject: str
    """Slot of the cast that is asked about: `hero`, `relic`, `title`."""
    answer: str
    """Slot of the cast that answers."""
    lessons: tuple[str, ...]
    exam: tuple[str, str]
    paraphrase: str = "It is {a}."
    """The answer in other words."""


def _relation(name: str, link: str, lessons: str, exam: str, paraphrase: str = "It is {a}.") -> Relation:
    """Build a relation from `subject > answer` and phrasings separated by ` | `."""
    subject, answer = link.split(" > ")
    first, second = exam.split(" | ")
    return Relation(
        name=name,
        subject=subject,
        answer=answer,
        lessons=tuple(lessons.split(" | ")),
        exam=(first, second),
        paraphrase=paraphrase,
    )


RELATIONS: tuple[Relation, ...] = (
    _relation(
        "friend",
        "hero > friend",
        "Who is the best friend of {s}? | Name the best friend of {s}. | Which best friend does {s} have? | {s} has a"
        " best friend. Who is it?",
        "Who would you call the best friend of {s}? | Do you know the best friend of {s}?",
    ),
    _relation(
        "teacher",
        "hero > mentor",
        "Who is the teacher of {s}? | Name the teacher of {s}. | Which teacher taught {s}? | {s} has a teacher. Who"
        " is it?",
        "Which person was the teacher of {s}? | Do you know the teacher of {s}?",
    ),
    _relation(
        "rival",
        "hero > rival",
        "Who is the rival of {s}? | Name the rival of {s}. | Which rival does {s} face? | {s} has a rival. Who is it?",
        "Which person is a rival of {s}? | Do you know the rival of {s}?",
    ),
    _relation(
        "villain",
        "title > villain",
        "Who is the villain of {s}? | Name the villain of {s}. | Which villain appears in {s}? | {s} has a villain. Who"
        " is it?",
        "Who plays the villain in {s}? | What is the name of the villain in {s}?",
    ),
    _relation(
        "author",
        "title > author",
        "Who is the author of {s}? | Name the author of {s}. | Which author wrote {s}? | {s} has an author. Who is it?",
        "By which author was {s} written? | Do you know the author of {s}?",
    ),
    _relation(
        "home",
        "hero > town",
        "Where does {s} live? | Name the home town of {s}. | In which home town does {s} live? | {s} has a home town."
        " Where is it?",
        "What is the home town of {s}? | Do you know the home town of {s}?",
        "In the town of {a}.",
    ),
    _relation(
        "birthplace",
        "friend > birthplace",
        "Where was {s} born? | Name the birthplace of {s}. | In which place was {s} born? | {s} has a birthplace. Where"
        " is it?",
        "What is the birthplace of {s}? | Do you know the birthplace of {s}?",
        "In the village of {a}.",
    ),
    _relation(
        "carries",
        "hero > tool",
        "What does {s} carry? | Name the thing that {s} carries. | Which thing does {s} carry? | {s} carries one thing."
        " What is it?",
        "What thing would {s} carry? | Do you know the thing that {s} carries?",
    ),
    _relation(
        "hidden",
        "relic > vault",
        "Where is {s} hidden? | Name the hiding place of {s}. | In which hiding place does {s} lie? | {S} has a hiding"
        " place. Where is it?",
        "What is the hiding place of {s}? | Do you know the hiding place of {s}?",
        "In the vaults of {a}.",
    ),
    _relation(
        "maker",
        "relic > maker",
        "Who is the maker of {s}? | Name the maker of {s}. | Which maker made {s}? | {S} has a maker. Who is it?",
        "By which maker was {s} made? | Do you know the maker of {s}?",
    ),
    _relation(
        "leader",
        "group > leader",
        "Who is the leader of {s}? | Name the leader of {s}. | Which leader commands {s}? | {S} has a leader. Who"
        " is it?",
        "Which person is the leader of {s}? | Do you know the leader of {s}?",
    ),
    _relation(
        "innkeeper",
        "inn > keeper",
        "Who is the innkeeper at {s}? | Name the innkeeper at {s}. | Which innkeeper works at {s}? | {s} has an"
        " innkeeper. Who is it?",
        "Which person is the innkeeper at {s}? | Do you know the innkeeper at {s}?",
    ),
    _relation(
        "lair",
        "villain > lair",
        "Where is the lair of {s}? | Name the lair of {s}. | In which lair does {s} hide? | {s} has a lair. Where"
        " is it?",
        "What place is the lair of {s}? | Do you know the lair of {s}?",
        "In the ruins of {a}.",
    ),
    _relation(
        "seeks",
        "villain > relic",
        "What does {s} seek? | Name the treasure that {s} seeks. | Which treasure does {s} seek? | {s} seeks one"
        " treasure. What is it?",
        "What treasure would {s} seek? | Do you know the treasure that {s} seeks?",
    ),
    _relation(
        "cousin",
        "rival > cousin",
        "Who is the cousin of {s}? | Name the cousin of {s}. | Which cousin does {s} have? | {s} has a cousin. Who"
        " is it?",
        "What is the name of the cousin of {s}? | Do you know the cousin of {s}?",
    ),
    _relation(
        "company",
        "friend > group",
        "What company did {s} join? | Name the company that {s} joined. | Which company did {s} join? | {s} joined one"
        " company. What is it?",
        "What company has {s} joined? | Do you know the company that {s} joined?",
    ),
    _relation(
        "gift",
        "mentor > gift",
        "What gift did {s} give? | Name the gift that {s} gave. | Which gift did {s} give? | {s} gave one gift. What"
        " is it?",
        "What gift has {s} given? | Do you know the gift that {s} gave?",
    ),
    _relation(
        "trade",
        "hero > trade",
        "What is the trade of {s}? | Name the trade of {s}. | Which trade does {s} follow? | {s} has a trade. What"
        " is it?",
        "What trade was learned by {s}? | Do you know the trade of {s}?",
        "It is the trade of a {a}.",
    ),
)
"""Every relation of a series: 18 facts a topic, one of which (`trade`) is answered without a name."""
