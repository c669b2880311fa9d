"""Edits against each other: two of one fact either say the same and become one, or are in conflict."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

from tasks.artifacts import BadInputError
from tasks.settings.edit_request import EditRequest

LISTS = tuple(field.name for field in fields(EditRequest) if field.default == ())
"""Fields that hold several prompts, statements or texts."""


@dataclass(frozen=True, kw_only=True)
class CheckedEdits:
    """Requests that can be worked with."""

    requests: tuple[EditRequest, ...]
    """In their order, each fact's new object once."""
    remarks: tuple[str, ...] = ()
    """What a person should know of them, a plain line each."""


def check_edits(requests: Sequence[EditRequest], *, together: bool = True) -> CheckedEdits:
    """Merge edits that are one, and refuse those that cannot be.

    Text is compared without regard to capital letters and white space.

    Args:
        requests: What is asked for.
        together: Whether all are to hold at one time, in one model. Else each is made and judged by itself, as the
            published evaluations of single edits do, whose files hold several new objects for one fact.

    Raises:
        BadInputError: If there is none, two share a name, or (`together`) two want different objects after one prompt.
    """
    if not requests:
        raise BadInputError("there are no edits; wanted one or more")
    merged: dict[tuple[str, str], EditRequest] = {}
    for request in requests:
        key = _plain(request.question), _plain(request.target)
        merged[key] = _union(merged[key], request) if key in merged else request
    edits = tuple(merged.values())
    _check_names(edits)
    titled = [(request.name or str(place), request) for place, request in enumerate(edits, 1)]
    if together:
        _check_conflicts(titled)
    return CheckedEdits(requests=edits, remarks=tuple(_remarks(titled, len(requests) - len(edits), together)))


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _union(first: EditRequest, second: EditRequest) -> EditRequest:
    """Return the first, judged by the prompts of both."""
    lists = {name: tuple(dict.fromkeys(getattr(first, name) + getattr(second, name))) for name in LISTS}
    lists = {name: lists[name] for name in LISTS if getattr(second, name) != getattr(first, name)}
    return replace(first, object=first.object or second.object, relation=first.relation or second.relation, **lists)


def _check_names(edits: Sequence[EditRequest]) -> None:
    """Two different edits of one name could not be told apart in any table."""
    (name, count), *_ = Counter(edit.name for edit in edits if edit.name).most_common(1) or [("", 1)]
    if count > 1:
        raise BadInputError(f"{count} different edits are called {name!r}; wanted a name for each, or none")


def _check_conflicts(titled: Sequence[tuple[str, EditRequest]]) -> None:
    wanted: dict[str, tuple[str, str]] = {}
    for title, edit in titled:
        other, target = wanted.setdefault(_plain(edit.question), (title, edit.target))
        if _plain(target) != _plain(edit.target):
            raise BadInputError(
                f"edits {other} and {title} are in conflict: after {edit.question!r} one wants {target!r}, the other"
                f" {edit.target!r}; wanted one new object for one fact"
            )


def _remarks(titled: Sequence[tuple[str, EditRequest]], merged: int, together: bool) -> Iterator[str]:
    if merged:
        yield f"{_count(merged)} stood there more than once and count once."
    if same := [title for title, edit in titled if _plain(edit.target) == _plain(edit.object)]:
        yield f"The object of today is wanted by {_count(len(same))}, first by {same[0]}."
    edited = {_plain(edit.question) for _, edit in titled}
    if together and (lost := [title for title, edit in titled if edited & _kept(edit)]):
        yield (
            f"A prompt that another edit rewrites is to be kept by {_count(len(lost))}, first by {lost[0]}: it will"
            " count as lost."
        )
    if together and (pair := _opposed(titled)):
        yield f"Edits {pair[0]} and {pair[1]} share a paraphrase and want different objects after it."


def _kept(edit: EditRequest) -> set[str]:
    """Return the prompts after which nothing is to change."""
    statements = (*edit.unrelated, *edit.name_sharers)
    return {_plain(prompt) for prompt in (*edit.neighborhood, *(statement.prompt for statement in statements))}


def _opposed(titled: Sequence[tuple[str, EditRequest]]) -> tuple[str, str] | None:
    """Return the first two edits that share a prompt and no object."""
    wanted: dict[str, tuple[str, str]] = {}
    for title, edit in titled:
        for prompt in (edit.question, *edit.paraphrases):
            other, target = wanted.setdefault(_plain(prompt), (title, _plain(edit.target)))
            if target != _plain(edit.target):
                return other, title
    return None


def _count(number: int) -> str:
    return f"{number} edit{'' if number == 1 else 's'}"
