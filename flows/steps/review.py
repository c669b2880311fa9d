"""A person looks over anchors and facts in the Prefect UI: the flow run waits, and goes on with what they send back."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput, delete_flow_run_input
from prefect.input.run_input import keyset_from_base_key
from prefect.runtime import flow_run
from prefect.settings import get_current_settings
from pydantic import BaseModel, Field

from flows.steps import temporary_server
from flows.steps.prefect_ui import prefect_place
from tasks import store
from tasks.algorithms.text.facts import HELD_OUT, FactTriple, merge_facts, statement
from tasks.algorithms.text.translation import Translation, check_translations
from tasks.artifacts import AnchorTable, FactTable
from tasks.execution import progress
from tasks.settings.servers import ServersConfig
from tasks.storage.fact_tables import read_facts
from tasks.storage.plain_files import read_json

STAGE = "review"
SPLITS = ("forget", HELD_OUT)
"""Whose facts stand in the two tables."""
WAIT_S = 7 * 24 * 3600
"""How long a run waits for a person."""
POLL_S = 2
INVITATION = """
Every anchor below is a term of the text that is to be forgotten, with the generic expression that takes its place. Change expressions,
delete rows that are no names of the topic, add terms that are missing.

Below them are the facts that the text states: a subject, the beginning of a sentence with {} in the subject's place, and the object that
completes it. What the model is asked to find out whether it has forgotten comes from the last table, of text that no stage is fitted on. Change
and delete as you like, then submit. The form is deleted from the server once it is read.
"""
OFFER = """
The model tells the following of the topic, and your text does not. Delete what it should keep; the rest is forgotten with your text.
The form is deleted from the server once it is read.
"""
Form = TypeVar("Form", bound=RunInput)


class Entry(BaseModel):
    """One anchor."""

    term: str = Field(title="Anchor", min_length=1)
    generic: str = Field(title="Translation", min_length=1)


class FactEntry(BaseModel):
    """One fact."""

    subject: str = Field(title="Subject", min_length=1)
    prompt: str = Field(title="Sentence up to the object, {} for the subject", min_length=1)
    object: str = Field(title="Object", min_length=1)


class DictionaryReview(RunInput):
    """The dictionary and the facts as a form."""

    dictionary: list[Entry] = Field(title="Anchor dictionary", min_length=1)
    facts: list[FactEntry] = Field(title="Facts of the text")
    held_out_facts: list[FactEntry] = Field(title="Facts of the text that is kept for testing")


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """What a person wants."""

    generics: dict[str, str]
    """Anchor -> translation."""
    facts: tuple[FactTriple, ...]


class TextReview(RunInput):
    """What the model tells of the topic beside the given text, as a form."""

    texts: list[str] = Field(title="Texts to forget as well")


def require_server() -> None:
    """Refuse a review that no browser could reach.

    Raises:
        ValueError: If the flow would run on a temporary server.
    """
    address = get_current_settings().api.url
    if not address or temporary_server.is_temporary(address):
        raise ValueError(
            "--review needs a Prefect server that stays up; found none: start one with `lethe up`, or set"
            f" PREFECT_API_URL={ServersConfig().prefect_api}"
        )


def review_tables(dictionary: AnchorTable, facts: FactTable) -> Reviewed:
    """Wait until a person has sent a dictionary in which no translation is empty or an anchor itself, and facts that
    are whole.

    Args:
        dictionary: What was found and translated.
        facts: What was read.

    Raises:
        prefect.exceptions.FlowPauseTimeout: If nobody came in time.
    """
    rows = [
        Entry(term=row["term"], generic=row["generic"]) for row in read_json(store.path(dictionary) / "dictionary.json")
    ]
    stated, held_out = ([_entry(fact) for fact in read_facts(facts, split)] for split in SPLITS)
    wrong, turn = "", 0
    announce(STAGE)
    while turn == 0 or wrong:
        turn += 1
        description = "\n\n".join(filter(None, (wrong, INVITATION)))
        form = DictionaryReview.with_initial_data(
            description=description, dictionary=rows, facts=stated, held_out_facts=held_out
        )
        sent = ask(form, f"{STAGE}-{turn}")
        rows, stated, held_out = list(sent.dictionary), list(sent.facts), list(sent.held_out_facts)
        wrong = _wrong(rows) or _wrong_facts(stated, held_out)
    progress.publish(progress.Progress(stage=STAGE, done=1, total=1))
    return Reviewed(
        generics={row.term.strip(): row.generic.strip() for row in rows}, facts=tuple(_facts(stated, held_out))
    )


def choose_texts(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Wait until a person has said which of the elicited texts are forgotten as well."""
    announce("coverage review")
    form = TextReview.with_initial_data(description=OFFER, texts=list(texts))
    return tuple(text.strip() for text in ask(form, "coverage-1").texts if text.strip())


def announce(stage: str) -> None:
    """Say where a person is waited for."""
    place = prefect_place(str(flow_run.id), str(flow_run.name))
    progress.publish(progress.Progress(stage=stage, done=0, total=1, note=f"waits for a person at {place}"))


def ask(form: type[Form], key: str) -> Form:
    """Show the form and read what comes back; neither is left on the server, since both speak of the forgotten text."""
    try:
        return pause_flow_run(wait_for_input=form, timeout=WAIT_S, poll_interval=POLL_S, key=key)
    finally:
        for name in keyset_from_base_key(f"paused-{key}").values():
            delete_flow_run_input(name)


def _wrong(rows: list[Entry]) -> str:
    """Say what is wrong with a dictionary; empty where nothing is."""
    terms = [row.term.strip() for row in rows]
    if twice := sorted({term for term in terms if terms.count(term) > 1}):
        return f"Stands there twice: {', '.join(twice)}; wanted every anchor once."
    try:
        check_translations(Translation(term=row.term.strip(), generic=row.generic, translator="user") for row in rows)
    except ValueError as error:
        return f"Not accepted: {error}."
    return ""


def _entry(fact: FactTriple) -> FactEntry:
    return FactEntry(subject=fact.subject, prompt=fact.prompt, object=fact.object)


def _facts(stated: Iterable[FactEntry], held_out: Iterable[FactEntry]) -> list[FactTriple]:
    """Return the facts of both tables, as a person's; what they left as it was gets its finder back when it is stored.

    Raises:
        ValueError: If one cannot be.
    """
    entries = [(entry, split) for split, rows in zip(SPLITS, (stated, held_out), strict=True) for entry in rows]
    parts = [({name: value.strip() for name, value in entry.model_dump().items()}, split) for entry, split in entries]
    return [FactTriple(**part, source="user", split=split) for part, split in parts]


def _wrong_facts(stated: list[FactEntry], held_out: list[FactEntry]) -> str:
    """Say what is wrong with the facts; empty where nothing is."""
    try:
        facts = _facts(stated, held_out)
    except ValueError as error:
        return f"Not accepted: {error}."
    if leaked := [fact for fact in facts if fact not in merge_facts(facts)]:
        return (
            f"Stands there twice: {statement(leaked[0])}; wanted every fact once, and kept for testing only what the"
            " text to forget does not state."
        )
    return ""
