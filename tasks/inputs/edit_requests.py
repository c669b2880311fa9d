"""Edits that a person asks for: a file, `--edits FILE`, or one on the command line.

A file is a JSON list or JSON lines, and each record says by its fields which schema it has: CounterFact as published,
its short form, zsRE (with portability or without), or our own, the fields of `EditRequest`.
"""

import functools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tasks.artifacts import BadInputError
from tasks.inputs.edit_schemas import PUBLISHED, Fact, KnownFact, make_request, mark_subject
from tasks.inputs.json_records import read_records
from tasks.settings.edit_request import EditRequest

SCHEMAS = (
    "CounterFact (case_id, requested_rewrite, paraphrase_prompts, neighborhood_prompts, generation_prompts), its short"
    " form (case_id, subject, prompt, target_new, ground_truth, rephrase_prompt, locality_prompt,"
    " locality_ground_truth), zsRE (subject, src, alt, answers, rephrase, loc, loc_ans, portability), or subject,"
    " prompt, target"
)
KNOWN_FACTS = (
    "known facts (subject, prompt, attribute), facts (subject, prompt, object), or edits with their present object"
)
WANTED = {
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "a record",
    "model_type": "a record",
    "dataclass_type": "a record",
}
"""What pydantic misses -> in plain words."""
SHOWN = 60
"""Characters of a wrong value that are shown."""


def read_edit_requests(path: Path) -> tuple[EditRequest, ...]:
    """Read a file of edits.

    Args:
        path: JSON or JSON lines; every record in any of the SCHEMAS.

    Returns:
        The requests in the order of the file, not yet checked against each other.

    Raises:
        BadInputError: If the file is missing, empty or not UTF-8, or a record is malformed, of no known schema, has a
            field of the wrong type, an empty target, or a subject that is not in its prompt; file and line (of JSON
            lines) or record (of a list) are named.
    """
    return tuple(_located(place, _edit, record) for place, record in read_records(path))


def read_known_facts(path: Path) -> tuple[EditRequest, ...]:
    """Read facts that a model is taken to know, for tracing: published known facts, facts as the stage `facts` writes
    them, or edits that say what the object is today. Each is a request that the object stay, with the paraphrases that
    it has.

    Raises:
        BadInputError: As in `read_edit_requests`.
    """
    return tuple(_located(place, _known, record) for place, record in read_records(path))


def as_request(subject: str, prompt: str, target: str) -> EditRequest:
    """Return the request of `--subject`, `--prompt` and `--target`.

    Args:
        subject: Whom or what the fact is about.
        prompt: The words up to the object, with `{}` or the subject itself in them.
        target: The new object.

    Raises:
        BadInputError: If one is empty, or the subject is not in the prompt.
    """
    try:
        return make_request(subject, prompt, target)
    except ValueError as error:
        raise BadInputError(str(error)) from None


def _edit(record: Mapping[str, Any]) -> EditRequest:
    schema = next((schema for mark, schema in PUBLISHED.items() if mark in record), None)
    if schema:
        return schema.model_validate(record).request()
    if "target" in record:
        return _own(record)
    if "attribute" in record:
        raise ValueError(f"a known fact has no new object, and is only traced; wanted {SCHEMAS}")
    raise ValueError(f"the record has {_names(record)}; wanted {SCHEMAS}")


def _own(record: Mapping[str, Any]) -> EditRequest:
    """Return the request that the fields of `EditRequest` say; none but those."""
    return _adapter().validate_python({**record, **_marked(record)})


def _marked(record: Mapping[str, Any]) -> dict[str, str]:
    """Return subject, prompt and target without white space around them, the prompt marked, as far as they are
    text.
    """
    texts = {name: record[name].strip() for name in ("subject", "target") if isinstance(record.get(name), str)}
    if isinstance(record.get("prompt"), str) and texts.get("subject"):
        texts["prompt"] = mark_subject(record["prompt"], texts["subject"]).rstrip(" ")
    return texts


def _known(record: Mapping[str, Any]) -> EditRequest:
    if "attribute" in record:
        return KnownFact.model_validate(record).fact()
    if "target" not in record and not PUBLISHED.keys() & record.keys():
        if "object" not in record:
            raise ValueError(f"the record has {_names(record)}; wanted {KNOWN_FACTS}")
        return Fact.model_validate(record).fact()
    request = _edit(record)
    if not request.object:
        raise ValueError(f"the edit {request.question!r} says no present object; wanted one, to trace it")
    return replace(request, target=request.object)


@functools.cache
def _adapter() -> TypeAdapter[EditRequest]:
    return TypeAdapter(EditRequest)


def _names(record: Mapping[str, Any]) -> str:
    return ", ".join(record)[: 2 * SHOWN] or "no field"


def _located(place: str, read: Any, record: Any) -> Any:
    """Read a record; what is wrong with it is said with its place."""
    if not isinstance(record, dict):
        raise BadInputError(f"{place}: {_short(record)} is no record; wanted one with named fields")
    try:
        return read(record)
    except ValidationError as error:  # a ValueError too
        raise BadInputError(f"{place}: {_fault(error, record)}") from None
    except ValueError as error:
        raise BadInputError(f"{place}: {error}") from None


def _fault(error: ValidationError, record: Mapping[str, Any]) -> str:
    """Return the first fault in one plain line."""
    fault = error.errors()[0]
    field = ".".join(map(str, fault["loc"]))
    match fault["type"]:
        case "value_error":
            return str(fault["ctx"]["error"])
        case "missing":
            return f"{field} is missing among {_names(record)}; wanted {SCHEMAS}"
        case "unexpected_keyword_argument":
            return f"{field} is no field of an edit; wanted {', '.join(EditRequest.__dataclass_fields__)}"
        case kind:
            return f"{field} is {_short(fault['input'])}; wanted {WANTED.get(kind, fault['msg'])}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
