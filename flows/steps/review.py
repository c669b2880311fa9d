"""A person looks over anchors, facts and texts in the Prefect UI: the flow run waits, and goes on with what they want."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from flows.steps.asking import Part, Question, Review, settle
from flows.steps.decisions import Decisions, Row, Shown
from flows.steps.forms import Cancellable
from tasks import store
from tasks.algorithms.text.excerpts import excerpts
from tasks.algorithms.text.facts import HELD_OUT, FactTriple, merge_facts, statement
from tasks.algorithms.text.translation import Translation, check_translations
from tasks.artifacts import AnchorTable, CorpusRef, FactTable
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import StoredTexts
from tasks.storage.fact_tables import read_facts
from tasks.storage.plain_files import read_json

SPLITS = {"facts": "forget", "held_out_facts": HELD_OUT}
"""Table -> the split whose facts stand in it."""
INVITATION = """
Every anchor below is a term of the text that is to be forgotten, with the generic expression that takes its place, and where it first stands there. Change
expressions, take the mark from rows that are no names of the topic, add terms that are missing; kind, count and context are only shown.

Below them are the facts that the text states: a subject, the beginning of a sentence with {} in the subject's place, and the object that
completes it. What the model is asked to find out whether it has forgotten comes from the last table, of text that no stage is fitted on. Change,
take the mark from rows and add others as you like, then submit. The form is deleted from the server once it is read.
"""
OFFER = """
The model tells the following of the topic, and your text does not. Take the mark from what it should keep; the rest is forgotten with your text.
The form is deleted from the server once it is read.
"""
KEEP = Field(default=True, title="Keep")


class AnchorEntry(BaseModel):
    """One anchor."""

    keep: bool = KEEP
    term: str = Field(title="Anchor", min_length=1)
    kind: str = Field(default="", title="Kind")
    count: int = Field(default=0, title="Count in the text")
    context: str = Field(default="", title="Context")
    translation: str = Field(title="Translation", min_length=1)


class FactEntry(BaseModel):
    """One fact."""

    keep: bool = KEEP
    subject: str = Field(title="Subject", min_length=1)
    prompt: str = Field(title="Sentence up to the object, {} for the subject", min_length=1)
    object: str = Field(title="Object", min_length=1)


class TextEntry(BaseModel):
    """One text."""

    keep: bool = Field(default=True, title="Forget")
    text: str = Field(title="Text")


class DictionaryReview(Cancellable):
    """The dictionary and the facts as a form."""

    dictionary: list[AnchorEntry]
    facts: list[FactEntry]
    held_out_facts: list[FactEntry]


class TextReview(Cancellable):
    """What the model tells of the topic beside the given text, as a form."""

    texts: list[TextEntry]


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """What a person wants."""

    generics: dict[str, str]
    """Anchor -> translation."""
    facts: tuple[FactTriple, ...]


def review_tables(
    dictionary: AnchorTable,
    facts: FactTable,
    corpus: CorpusRef,
    config: CorpusConfig,
    decisions: Decisions,
    review: Review,
) -> Reviewed:
    """Wait until a person has sent a dictionary in which no translation is empty or an anchor itself, and facts that
    are whole; nobody is waited for where all was decided before.

    Args:
        dictionary: What was found and translated.
        facts: What was read.
        corpus: Where anchors stand.
        config: How questions become text.
        decisions: What was decided on the same request.
        review: `new` or `all`.

    Raises:
        BaseException: As `forms.answered`.
    """
    parts = {"dictionary": _anchors(read_json(store.path(dictionary) / "dictionary.json"), corpus, config)}
    titles = ("Facts of the text", "Facts of the text that is kept for testing")
    for (name, split), title in zip(SPLITS.items(), titles, strict=True):
        rows = [(fact.subject, fact.prompt, fact.object) for fact in read_facts(facts, split)]
        parts[name] = Part(title=title, proposed=rows, as_entry=_fact_entry, as_row=_fact_row)
    question = Question(stage="review", invitation=INVITATION, form=DictionaryReview, parts=parts, check=as_reviewed)
    return settle(question, decisions, review)


def choose_texts(texts: tuple[str, ...], decisions: Decisions, review: Review) -> tuple[str, ...]:
    """Wait until a person has said which of the elicited texts are forgotten as well."""
    part = Part(
        title="Texts to forget as well",
        proposed=[(text,) for text in texts],
        as_entry=lambda shown: TextEntry(keep=shown.keep, text=shown.row[0]),
        as_row=lambda entry: (entry.text.strip(),),
    )
    question = Question(
        stage="coverage",
        invitation=OFFER,
        form=TextReview,
        parts={"texts": part},
        check=lambda rows: tuple(text for (text,) in rows["texts"] if text),
    )
    return settle(question, decisions, review)


def _anchors(found: list[dict[str, Any]], corpus: CorpusRef, config: CorpusConfig) -> Part:
    known = {row["term"]: row for row in found}
    contexts = excerpts(StoredTexts(corpus, ("forget",), config.qa_template), known)

    def entry(shown: Shown) -> AnchorEntry:
        term, translation = shown.row
        row = known.get(term, {})
        return AnchorEntry(
            keep=shown.keep,
            term=term,
            kind=row.get("kind") or "",
            count=row.get("count") or 0,
            context=contexts.get(term, ""),
            translation=translation,
        )

    return Part(
        title="Anchors",
        proposed=[(row["term"], row["generic"]) for row in found],
        as_entry=entry,
        as_row=lambda entry: (entry.term.strip(), entry.translation.strip()),
        name_length=1,
    )


def _fact_entry(shown: Shown) -> FactEntry:
    subject, prompt, completion = shown.row
    return FactEntry(keep=shown.keep, subject=subject, prompt=prompt, object=completion)


def _fact_row(entry: FactEntry) -> Row:
    return entry.subject.strip(), entry.prompt.strip(), entry.object.strip()


def as_reviewed(rows: Mapping[str, list[Row]]) -> Reviewed:
    """Return anchors and facts as a person wants them.

    Raises:
        ValueError: If they cannot be had so.
    """
    anchors = rows["dictionary"]
    terms = [term for term, _ in anchors]
    if not terms:
        raise ValueError("no anchor is left; wanted one or more")
    if twice := sorted({term for term in terms if terms.count(term) > 1}):
        raise ValueError(f"stands there twice: {', '.join(twice)}; wanted every anchor once")
    check_translations(Translation(term=term, generic=generic, translator="user") for term, generic in anchors)
    return Reviewed(generics=dict(anchors), facts=_facts(rows))


def _facts(rows: Mapping[str, list[Row]]) -> tuple[FactTriple, ...]:
    """Return the facts of both tables, as a person's; what they left as it was gets its finder back when it is
    stored.
    """
    facts = tuple(
        FactTriple(subject=subject, prompt=prompt, object=completion, source="user", split=split)
        for table, split in SPLITS.items()
        for subject, prompt, completion in rows[table]
    )
    merged = merge_facts(facts)
    if leaked := [fact for fact in facts if fact not in merged]:
        raise ValueError(
            f"stands there twice: {statement(leaked[0])}; wanted every fact once, and kept for testing only what the"
            " text to forget does not state"
        )
    return facts
