"""A person looks over the anchor dictionary in the Prefect UI: the flow run waits, and goes on with what they send back."""

from typing import TypeVar

from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput, delete_flow_run_input
from prefect.input.run_input import keyset_from_base_key
from prefect.runtime import flow_run
from prefect.settings import get_current_settings
from pydantic import BaseModel, Field

from flows.presentation import prefect_place
from tasks import formats, progress, store
from tasks.algorithms.translation import Translation, check_translations
from tasks.artifacts import AnchorTable

STAGE = "review"
WAIT_S = 7 * 24 * 3600
"""How long a run waits for a person."""
POLL_S = 2
INVITATION = """
Every anchor below is a term of the text that is to be forgotten, with the generic expression that takes its place. Change expressions,
delete rows that are no names of the topic, add terms that are missing; then submit. The form is deleted from the server once it is read.
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


class DictionaryReview(RunInput):
    """The dictionary as a form."""

    dictionary: list[Entry] = Field(title="Anchor dictionary", min_length=1)


class TextReview(RunInput):
    """What the model tells of the topic beside the given text, as a form."""

    texts: list[str] = Field(title="Texts to forget as well")


def require_server() -> None:
    """Refuse a review that no browser could reach.

    Raises:
        ValueError: If the flow would run on a temporary server.
    """
    if not get_current_settings().api.url:
        raise ValueError(
            "--review needs a Prefect server that stays up; found none: start one with `make up` and set PREFECT_API_URL=http://127.0.0.1:4200/api"
        )


def review_dictionary(dictionary: AnchorTable) -> dict[str, str]:
    """Wait until a person has sent a dictionary in which no translation is empty or an anchor itself.

    Args:
        dictionary: What was found and translated.

    Returns:
        Term -> translation, as the person wants it.

    Raises:
        prefect.exceptions.FlowPauseTimeout: If nobody came in time.
    """
    rows = [Entry(term=row["term"], generic=row["generic"]) for row in formats.read_json(store.path(dictionary) / "dictionary.json")]
    wrong, turn = "", 0
    _announce(STAGE)
    while turn == 0 or wrong:
        turn += 1
        form = DictionaryReview.with_initial_data(description="\n\n".join(filter(None, (wrong, INVITATION))), dictionary=rows)
        rows = list(_ask(form, f"{STAGE}-{turn}").dictionary)
        wrong = _wrong(rows)
    progress.publish(progress.Progress(stage=STAGE, done=1, total=1))
    return {row.term.strip(): row.generic.strip() for row in rows}


def choose_texts(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Wait until a person has said which of the elicited texts are forgotten as well."""
    _announce("coverage review")
    form = TextReview.with_initial_data(description=OFFER, texts=list(texts))
    return tuple(text.strip() for text in _ask(form, "coverage-1").texts if text.strip())


def _announce(stage: str) -> None:
    place = prefect_place(str(flow_run.id), str(flow_run.name))
    progress.publish(progress.Progress(stage=stage, done=0, total=1, note=f"waits for a person at {place}"))


def _ask(form: type[Form], key: str) -> Form:
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
