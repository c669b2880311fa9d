"""A person looks over edits in the Prefect UI: the flow run waits, and goes on with what they want."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pydantic import BaseModel, Field

from flows.steps.asking import Part, Question, Review, settle
from flows.steps.decisions import Decisions, Row, Shown
from flows.steps.forms import Cancellable
from tasks.artifacts import EditSet
from tasks.inputs.edit_checks import check_edits
from tasks.inputs.edit_requests import as_request
from tasks.settings.edit_request import EditRequest
from tasks.storage.edit_files import stored_edits

STAGE = "edit review"
INVITATION = """
Every row below is a fact that is to be rewritten: a subject, the beginning of a sentence with {} in the subject's place
(or a question), what follows it today, and what is to follow it instead.

Change new objects, take the mark from facts that are to stay as they are, add others, then submit. The form is deleted
from the server once it is read.
"""


class EditEntry(BaseModel):
    """One edit."""

    keep: bool = Field(default=True, title="Rewrite")
    subject: str = Field(title="Subject", min_length=1)
    prompt: str = Field(title="Sentence up to the object, {} for the subject", min_length=1)
    object: str = Field(title="Object today; empty: whatever the model says", default="")
    target: str = Field(title="New object", min_length=1)


class EditReview(Cancellable):
    """The edits as a form."""

    edits: list[EditEntry]


def review_edits(edits: EditSet, decisions: Decisions, review: Review = "new") -> tuple[EditRequest, ...]:
    """Wait until a person has sent edits that can be made together; nobody is waited for where all was decided before.

    Args:
        edits: What is proposed.
        decisions: What was decided on the same request.
        review: `new` or `all`.

    Returns:
        What they want. A fact that they left, with another object or as it was, is still judged by the prompts that it
        came with; one whose words they changed is another fact.

    Raises:
        BaseException: As `forms.answered`.
    """
    proposed = stored_edits(edits)
    part = Part(
        title="Facts to rewrite",
        proposed=[_row(request) for request in proposed],
        as_entry=_entry,
        as_row=_row,
        name_length=2,
    )
    question = Question(
        stage=STAGE,
        invitation=INVITATION,
        form=EditReview,
        parts={"edits": part},
        check=lambda rows: _wanted(rows, proposed),
    )
    return settle(question, decisions, review)


def _row(edit: EditRequest | EditEntry) -> Row:
    return edit.subject.strip(), edit.prompt.strip(), edit.object.strip(), edit.target.strip()


def _entry(shown: Shown) -> EditEntry:
    return EditEntry(keep=shown.keep, **dict(zip(("subject", "prompt", "object", "target"), shown.row, strict=True)))


def _wanted(rows: Mapping[str, list[Row]], proposed: Sequence[EditRequest]) -> tuple[EditRequest, ...]:
    """Return the edits that rows ask for.

    Raises:
        ValueError: If one cannot be, or they cannot be made together.
    """
    known = {request.question: request for request in proposed}
    asked = [(as_request(subject, prompt, target), today) for subject, prompt, today, target in rows["edits"]]
    wanted = [
        replace(known.get(request.question, request), target=request.target, object=today) for request, today in asked
    ]
    return check_edits(wanted).requests
