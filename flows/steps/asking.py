"""Ask a person until what they want can be done; what they have decided before is not asked again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from prefect import get_run_logger
from prefect.runtime import flow_run
from pydantic import Field

from flows.steps.decisions import Decisions, Row, Shown, Table
from flows.steps.forms import Cancellable, answered, done

Review = Literal["off", "new", "all"]
"""Nobody is asked; a person is asked about what they have not decided in an earlier run for the same request; about
everything."""
ONLY_NEW = "Only what is new is shown; what was decided in an earlier run for the same request stands.\n\n"
Wanted = TypeVar("Wanted")


@dataclass(frozen=True, kw_only=True)
class Part:
    """A table of a form."""

    title: str
    proposed: Sequence[Row]
    as_entry: Callable[[Shown], Any]
    """Makes a row of the form."""
    as_row: Callable[[Any], Row]
    """Reads one."""
    name_length: int | None = None
    """As of `Table`."""


@dataclass(frozen=True, kw_only=True)
class Question(Generic[Wanted]):
    """What a person is asked."""

    stage: str
    invitation: str
    form: type[Cancellable]
    parts: Mapping[str, Part]
    """Field of the form -> its table; rows have a field `keep`."""
    check: Callable[[Mapping[str, list[Row]]], Wanted]
    """Makes of all rows that a person wants what is handed on; a `ValueError` says what is wrong with them."""


def settle(question: Question[Wanted], decisions: Decisions, review: Review) -> Wanted:
    """Return what a person wants: as they decided it before, where nothing is new, else once they have sent a form with
    which nothing is wrong.

    Args:
        question: What they are asked.
        decisions: What they have decided on the same request; what they decide now is added.
        review: `new` or `all`.

    Raises:
        BaseException: As `answered`.
    """
    names = {name: part.name_length for name, part in question.parts.items()}
    knows, asked = decisions.is_known(names), False
    while True:
        tables = decisions.read(names)
        everything = review == "all" and decisions.asked_in(question.stage) != str(flow_run.id)
        wrong = ""
        if not everything and not _new(question, tables):
            try:
                wanted = question.check(
                    {name: tables[name].wanted(part.proposed) for name, part in question.parts.items()}
                )
            except ValueError as error:
                wrong = f"Not accepted: {error}."
            else:
                _conclude(question, tables, asked=asked)
                return wanted
        _ask(question, decisions, tables, wrong, everything=everything or bool(wrong), knows=knows)
        asked = True


def _new(question: Question[Any], tables: Mapping[str, Table]) -> bool:
    return any(tables[name].undecided(part.proposed) for name, part in question.parts.items())


def _ask(
    question: Question[Any],
    decisions: Decisions,
    tables: Mapping[str, Table],
    wrong: str,
    *,
    everything: bool,
    knows: bool,
) -> None:
    """Show a form, and keep what comes back before the form is deleted."""
    parts = question.parts
    shown = {name: tables[name].shown(part.proposed, everything=everything) for name, part in parts.items()}
    fields = {
        name: Field(
            default=[part.as_entry(row) for row in shown[name]],
            title=counted(part.title, part.proposed, tables[name], knows=knows),
        )
        for name, part in parts.items()
    }
    some = "" if everything or not knows else ONLY_NEW
    description = "\n\n".join(filter(None, (wrong, some + question.invitation.strip())))
    with answered(question.form.with_initial_data(description=description, **fields), question.stage) as form:
        sent = {
            name: [Shown(entry.keep, part.as_row(entry)) for entry in getattr(form, name)]
            for name, part in parts.items()
        }

        def decide(changed: dict[str, Table]) -> None:
            for name, part in parts.items():
                changed[name].decide(part.proposed, shown[name], sent[name])

        names = {name: part.name_length for name, part in parts.items()}
        decisions.change(question.stage, str(flow_run.id), names, decide)


def counted(title: str, proposed: Sequence[Row], table: Table, *, knows: bool) -> str:
    """Return a table's title with how many rows there are to be, and how many of them nobody has seen."""
    new = table.undecided(proposed)
    total = f"{title}: {len(table.wanted(proposed)) + len(new)}"
    return f"{total}, {len(new)} new since the last review" if knows and new else total


def _conclude(question: Question[Any], tables: Mapping[str, Table], *, asked: bool) -> None:
    """Say what is gone on with; counts alone, since rows speak of the forgotten text."""
    rows = "; ".join(
        counted(part.title, part.proposed, tables[name], knows=False) for name, part in question.parts.items()
    )
    if asked:
        done(question.stage)
    get_run_logger().info(
        "%s: %s", question.stage, rows if asked else f"nothing is new, and nobody is asked: {rows}, as decided before"
    )
