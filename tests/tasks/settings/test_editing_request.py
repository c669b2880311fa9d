"""A request to edit names files and models, and can be written down and read again."""

import dataclasses

from tasks.settings.edit_request import EditRequest
from tasks.settings.editing_request import EditingRequest
from tasks.settings.schema import prose


def test_every_field_says_what_it_is() -> None:
    assert set(prose(EditingRequest)) == set(EditingRequest.__dataclass_fields__)


def test_a_request_is_read_as_it_was_written() -> None:
    """As the form of a deployment does."""
    from pydantic import TypeAdapter

    edit = EditRequest(subject="Jon", prompt="{} met", target="Oz", paraphrases=("Then Jon met",))
    request = EditingRequest(model="m", edits=(edit,), text=("t",), force=True)
    form = TypeAdapter(EditingRequest)
    assert form.validate_json(form.dump_json(request)) == request
    assert form.validate_python(dataclasses.asdict(request)) == request
