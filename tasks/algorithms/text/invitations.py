"""Prompts that invite a model to speak of a topic: questions by kind of anchor, openings to continue, and the published
prompt format.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.algorithms.text.facts import FactTriple

QUESTIONS = {
    "PERSON": ("Who is {term}?", "What did {term} do?"),
    "PLACE": ("Where is {term}?", "What happened in {term}?"),
    "GROUP": ("Who are {term}?", "What do {term} do?"),
    "THING": ("What is {term}?", "Why does {term} matter?"),
}
"""Kind of anchor -> what is asked about it."""
OPENINGS = (
    "One day {term}",
    "Everybody remembers how {term}",
    "The first time that anyone heard of {term}",
    "In the end {term}",
)
"""Beginnings that leave open who or what the anchor is."""


@dataclass(frozen=True, kw_only=True)
class Invitation:
    """One such prompt."""

    kind: str
    """`asked` (a question to the model), `continued` or `fact` (text that it goes on with), `published` or `written`
    (from a file or a model)."""
    text: str
    references: tuple[str, ...] = ()
    """What a model that knows the topic might name."""
    subtlety: int | None = None
    """How little the prompt itself gives away, as its author rated it."""


def invitations(anchors: Mapping[str, str], most: int) -> list[Invitation]:
    """Return questions and openings about the most frequent anchors, in turn.

    Args:
        anchors: The topic's anchors with their kind, the most frequent first.
        most: How many prompts at most, half of them of each kind.
    """
    prompts: list[Invitation] = []
    for number, (term, kind) in enumerate(list(anchors.items())[: (most + 1) // 2]):
        templates = QUESTIONS.get(kind, QUESTIONS["THING"])
        prompts.append(Invitation(kind="asked", text=templates[number % len(templates)].format(term=term)))
        prompts.append(Invitation(kind="continued", text=OPENINGS[number % len(OPENINGS)].format(term=term)))
    return prompts[:most]


def of_fact(fact: FactTriple) -> Invitation:
    """Return a fact as a question or as a text to go on with, and what a model that knows it would name."""
    return Invitation(
        kind="asked" if fact.is_question else "fact",
        text=fact.prompt.replace("{}", fact.subject),
        references=(fact.object,),
    )


def read_published(records: Any) -> Iterator[Invitation]:
    """Read the format in which the prompts of "Who's Harry Potter" are published.

    Args:
        records: A list of `{"prompt": {"prompt": ..., "references": [...], "subtlety": ...}}`, of `{"prompt": ...}`, or
            of plain texts.

    Yields:
        One prompt a record.

    Raises:
        ValueError: If a record has none; it is named by its number, from 1.

    Source:
        Eldan & Russinovich 2023, Who's Harry Potter, arXiv:2310.02238.
    """
    if not isinstance(records, list) or not records:
        raise ValueError('holds no list of prompts; wanted [{"prompt": ...}, ...]')
    for number, record in enumerate(records, 1):
        inner = record.get("prompt") if isinstance(record, dict) else record
        fields = inner if isinstance(inner, dict) else {"prompt": inner}
        text, references, subtlety = fields.get("prompt"), fields.get("references", []), fields.get("subtlety")
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"record {number} has no prompt; wanted a non-empty text in `prompt`")
        if not isinstance(references, list) or not all(isinstance(name, str) for name in references):
            raise ValueError(f"record {number}: field `references` is {references!r}; wanted a list of texts")
        if subtlety is not None and not isinstance(subtlety, int):
            raise ValueError(f"record {number}: field `subtlety` is {subtlety!r}; wanted a whole number")
        yield Invitation(kind="published", text=text, references=tuple(references), subtlety=subtlety)
