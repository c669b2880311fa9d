"""What the register says of a removal request: its states, its history, and what of it is not public."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal, get_args

from tasks.artifacts import BadInputError
from tasks.settings.removal_requests import RemovalRequest, read_due
from tasks.tracking_source import account

State = Literal["received", "running", "verified", "failed", "superseded", "cancelled"]
STATES: tuple[State, ...] = get_args(State)
FINAL = ("superseded", "cancelled")
LEADS_TO: Mapping[State, tuple[State, ...]] = {
    "received": ("running", *FINAL),
    "running": ("running", "received", "verified", "failed", *FINAL),
    "verified": ("running", *FINAL),
    "failed": ("running", *FINAL),
    "superseded": (),
    "cancelled": (),
}
"""State -> what may come after it. A run that was killed leaves `running`, and may be begun again; one that was stopped
goes back to what was before it."""
VERDICT, BROKE_OFF = "verdict ", "ended by "
"""How the words of a change begin that ends a run: with a verdict, or by an error."""
STOPPED = "stopped"
"""Words of a change by which a run ended that came to no verdict and did not fail."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A request came into a state."""

    state: State
    at: str
    """When: ISO 8601, UTC, to the second."""
    by: str
    """Account that did it."""
    words: str = ""
    """What there is to say, public."""
    run: str = ""
    """Tracked run that it came by."""

    @property
    def is_verdict(self) -> bool:
        """Whether a run came to a verdict by it."""
        return self.words.startswith(VERDICT)

    @property
    def is_end(self) -> bool:
        """Whether a run ended by it, and was not stopped."""
        return self.is_verdict or self.words.startswith(BROKE_OFF)

    def as_text(self) -> str:
        """Return it as a line that `Change(**json.loads(line))` reads."""
        return json.dumps({name: value for name, value in asdict(self).items() if value})


@dataclass(frozen=True, kw_only=True)
class Removal:
    """A request as the register has it."""

    id: str
    entry: str
    """Its run in MLflow."""
    history: tuple[Change, ...]
    due: date
    method: str
    target: str
    """Digest of the target model, as it was when the request was received."""
    base: str
    """Digest of the model that the target was made of, by earlier requests, else its own: as its last run found it."""
    model: str
    """What is the same for requests on the same folder or hub name, and tells nothing of it."""
    forget: str
    """Keyed digest of the text that is to be forgotten."""
    details: str
    """Digest of the artifact with what is not public."""
    approve: bool
    superseded_by: str = ""

    @property
    def state(self) -> State:
        """What has become of it."""
        return self.history[-1].state

    @property
    def before_running(self) -> State:
        """Its state before the run that is under way, and before any that was killed."""
        return next(change.state for change in reversed(self.history) if change.state != "running")

    @property
    def judged_by(self) -> str:
        """The tracked run by which it was last verified or failed, or an empty text."""
        runs = [change.run for change in self.history if change.state in ("verified", "failed") and change.run]
        return runs[-1] if runs else ""

    @property
    def last_end(self) -> Change | None:
        """How the last run for it ended that was not stopped or killed; None where there was none."""
        return next((change for change in reversed(self.history) if change.is_end), None)

    @property
    def is_in_force(self) -> bool:
        """Whether what it asks for is still wanted of the model."""
        return self.state not in FINAL

    @property
    def is_overdue(self) -> bool:
        """Whether its day has passed and it is not verified."""
        return self.is_overdue_on(today())

    def is_overdue_on(self, day: date) -> bool:
        """Return whether its day has passed on another one, and it is not verified."""
        return self.is_in_force and self.state != "verified" and self.due < day


@dataclass(frozen=True, kw_only=True)
class Details:
    """What of a request is not public."""

    request: RemovalRequest
    inputs: Mapping[str, Sequence[str]]
    """Split -> digests of its files, as they were."""


def today() -> date:
    """Return the day, UTC."""
    return datetime.now(UTC).date()


def require_to_come(due: str) -> date:
    """Return the day until when a request is to be done.

    Raises:
        BadInputError: If it has passed.
        ValueError: If it is none.
    """
    if (day := read_due(due)) < today():
        raise BadInputError(f"due {due} has passed; wanted today, {today()}, or a later day")
    return day


def made_now(state: State, words: str = "", run: str = "") -> Change:
    """Return a change that is made now, by the account that asks."""
    return Change(state=state, at=now(), by=account(), words=words, run=run)


def now() -> str:
    """Return the time: ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def require_leading_to(removal: Removal, state: State) -> None:
    """Refuse a change that the states do not allow.

    Raises:
        BadInputError: If the state that the request is in does not lead there.
    """
    if state in LEADS_TO[removal.state]:
        return
    by = f" by {removal.superseded_by}" if removal.superseded_by else ""
    from_here = [known for known in STATES if state in LEADS_TO[known]]
    raise BadInputError(
        f"{removal.id} is {removal.state}{by} and cannot become {state}; wanted one that is {' or '.join(from_here)}"
    )


def as_json(removal: Removal) -> dict[str, Any]:
    """Return what may be public of a request, as machines read it."""
    value = asdict(removal) | {"due": removal.due.isoformat(), "state": removal.state, "overdue": removal.is_overdue}
    del value["details"], value["model"]
    return value
