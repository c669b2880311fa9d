"""What `lethe request` shows: the register as a table, and one request with all that the store knows of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.terminal.tables import show_places
from tasks import tracking_registry
from tasks.artifacts import BadInputError
from tasks.removals.aliases import CANDIDATE, UNLEARNED, VERDICT, waits_for_approval
from tasks.removals.records import Removal, as_json, require_leading_to, today
from tasks.removals.register import find, read_details
from tasks.settings.removal_requests import RemovalRequest
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.tracking_registry import Version

BESIDE = ("anchors", "prompts", "benchmark_data")
"""What `unlearn --request` may be given beside what the request says; anchors where it has none."""
GONE = "-"
"""In place of what was purged, or is in another store."""


def read_asked(name: str, instead: Mapping[str, str | None]) -> RemovalRequest:
    """Return what a removal request says, for a run that is made for it.

    Args:
        name: Its id.
        instead: Option -> value of what says otherwise which text, model and method are meant.

    Raises:
        ValueError: If there is no such request, it has ended, its details were purged, or one of those was given.
    """
    if given := [f"{option} {value}" for option, value in instead.items() if value]:
        raise ValueError(f"--request {name} brings text, model and method; wanted no {' and no '.join(given)}")
    removal = find(name)
    require_leading_to(removal, "running")
    return read_details(removal).request


def as_asked(given: UnlearningRequest, name: str, asked: RemovalRequest) -> UnlearningRequest:
    """Return the text and the model of a removal request, with what the command was given beside it.

    Raises:
        ValueError: If that is text or a model too.
    """
    beside = {one: value for one in BESIDE if (value := getattr(given, one))}
    if beside.get("anchors") and asked.text.anchors:
        beside.pop("anchors")
    named = [field.name for field in fields(given) if field.name not in beside and getattr(given, field.name)]
    if named:
        words = ["FORGET" if one == "forget" else f"--{one.replace('_', '-')}" for one in named]
        raise ValueError(f"--request {name} brings text and model; wanted no {' and no '.join(words)}")
    return replace(asked.text, removal=find(name).id, **beside)


def requests_table(removals: Sequence[Removal]) -> Table:
    """Return a row a request."""
    table = Table(title="Removal requests", title_justify="left", header_style="bold")
    for column in ("id", "state", "due", "subject", "model", "method"):
        table.add_column(column, no_wrap=column in ("id", "state"))
    for removal in removals:
        known = _known(removal)
        subject, model = (known.subject, _model(known)) if known else (GONE, removal.target[:16])
        # text of the user's, whose brackets are no markup
        table.add_row(*map(Text, (removal.id, removal.state, _due(removal), subject, model, removal.method)))
    return table


def show_request(console: Console, removal: Removal) -> None:
    """Print a request, a line for each thing."""
    known = _known(removal)
    places = {"Request": removal.id, "State": removal.state, "Due": _due(removal)}
    if known:
        places |= {
            "Subject": known.subject,
            "Reason": known.reason,
            "Asked by": known.asked_by or removal.history[0].by,
        }
        places |= {"Model": known.text.model, "Method": removal.method}
        places |= {split.replace("_", " ").capitalize(): ", ".join(paths) for split, paths in _files(known).items()}
    else:
        places |= {"Subject": "purged, or in another store", "Method": removal.method}
    places |= {"Target": f"{removal.target[:16]} (digest)", "Forget text": f"{removal.forget[:16]} (keyed digest)"}
    show_places(console, places)
    console.print("\nHistory")
    for change in removal.history:
        words = f": {change.words}" if change.words else ""
        run = f" (MLflow run {change.run})" if change.run else ""
        console.print(f"  {change.at}  {change.state} by {change.by}{words}{run}", markup=False, highlight=False)
    for version in _versions(removal):
        console.print(f"Registered  {_in_words(version)}", markup=False, highlight=False)


def whole_request(removal: Removal) -> dict[str, Any]:
    """Return a request as machines read it, with what the store knows of it; null where it was purged."""
    known = _known(removal)
    versions = [{"model": one.name, "version": one.number, "tags": dict(one.tags)} for one in _versions(removal)]
    return {**as_json(removal), "details": asdict(known) if known else None, "versions": versions}


def _known(removal: Removal) -> RemovalRequest | None:
    """Return what is not public of a request, or None where it is not there any more."""
    try:
        return read_details(removal).request
    except BadInputError:
        return None


def _files(known: RemovalRequest) -> dict[str, tuple[str, ...]]:
    return {split: paths for split, paths in known.text.files().items() if paths}


def _model(known: RemovalRequest) -> str:
    """Return the folder's name, or the hub name."""
    return Path(known.text.model).name if Path(known.text.model).is_absolute() else known.text.model


def _due(removal: Removal) -> str:
    if removal.is_overdue:
        return f"{removal.due} (overdue)"
    if not removal.is_in_force or removal.state == "verified":
        return str(removal.due)
    days = (removal.due - today()).days
    return f"{removal.due} ({days} day{'' if days == 1 else 's'})"


def _versions(removal: Removal) -> list[Version]:
    return tracking_registry.versions_with("lethe.request", removal.id)


def _in_words(version: Version) -> str:
    pointing = [
        alias for alias in (CANDIDATE, UNLEARNED) if tracking_registry.aliased(version.name, alias) == version.number
    ]
    said = [f"verdict {version.tags.get(VERDICT, 'unknown')}", *(f"alias {alias}" for alias in pointing)]
    said += ["waits for approval"] if waits_for_approval(version) else []
    return f"{version.name} version {version.number}: {', '.join(said)}"
