"""A person looks over edits in the Prefect UI: the flow run waits, and goes on with what they send back."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from prefect.input import RunInput
from pydantic import BaseModel, Field

from flows.steps.review import announce, ask
from tasks.artifacts import EditSet
from tasks.execution import progress
from tasks.inputs.edit_checks import check_edits
from tasks.inputs.edit_requests import as_request
from tasks.settings.edit_request import EditRequest
from tasks.storage.edit_files import stored_edits

STAGE = "edit review"
INVITATION = """
Every row below is a fact that is to be rewritten: a subject, the beginning of a sentence with {} in the subject's place
(or a question), what follows it today, and what is to follow it instead.

Change new objects, delete facts that are to stay as they are, add others, then submit. The form is deleted from the
server once it is read.
"""


class EditEntry(BaseModel):
    """One edit."""

    subject: str = Field(title="Subject", min_length=1)
    prompt: str = Field(title="Sentence up to the object, {} for the subject", min_length=1)
    object: str = Field(title="Object today; empty: whatever the model says", default="")
    target: str = Field(title="New object", min_length=1)


class EditReview(RunInput):
    """The edits as a form."""

    edits: list[EditEntry] = Field(title="Facts to rewrite", min_length=1)


def review_edits(edits: EditSet) -> tuple[EditRequest, ...]:
    """Wait until a person has sent edits that can be made together.

    Args:
        edits: What is proposed.

    Returns:
        What they want. A fact that they left, with another object or as it was, is still judged by the prompts that it
        came with; one whose words they changed is another fact.

    Raises:
        prefect.exceptions.FlowPauseTimeout: If nobody came in time.
    """
    proposed = stored_edits(edits)
    rows, wrong, turn = [_entry(request) for request in proposed], "", 0
    announce(STAGE)
    while turn == 0 or wrong:
        turn += 1
        description = "\n\n".join(filter(None, (wrong, INVITATION)))
        form = EditReview.with_initial_data(description=description, edits=rows)
        rows = list(ask(form, f"{STAGE.replace(' ', '-')}-{turn}").edits)
        wanted, wrong = _wanted(rows, proposed)
    progress.publish(progress.Progress(stage=STAGE, done=1, total=1))
    return wanted


def _entry(request: EditRequest) -> EditEntry:
    return EditEntry(subject=request.subject, prompt=request.prompt, object=request.object, target=request.target)


def _wanted(rows: Iterable[EditEntry], proposed: Sequence[EditRequest]) -> tuple[tuple[EditRequest, ...], str]:
    """Return the edits that rows ask for, or what is wrong with them."""
    known = {request.question: request for request in proposed}
    try:
        asked = [(as_request(row.subject, row.prompt, row.target), row.object.strip()) for row in rows]
        wanted = [
            replace(known.get(request.question, request), target=request.target, object=object_)
            for request, object_ in asked
        ]
        return check_edits(wanted).requests, ""
    except ValueError as error:
        return (), f"Not accepted: {error}."
