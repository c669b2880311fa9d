"""When a finished model is measured again, and what a measurement found: a decision over plain records.

    first        it was never measured
    model        the alias points to another version, or the folder holds another model
    data         text, benchmarks or settings are others
    libraries    the versions of what computes are others
    days         nothing has changed for as many days as are wanted: this time with newly drawn prompts

Where something has changed the prompts are those of the last time, so that the change alone is seen.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Literal

Why = Literal["first", "model", "data", "libraries", "days"]


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a measurement depends on beside its prompts."""

    model: str
    """Digest of its weights."""
    data: str
    """Keyed digest of text, benchmarks and settings."""
    libraries: Mapping[str, str]
    """Name -> version of what computes."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A measurement that is to be made."""

    why: Why
    draw: int
    """Which draw of the prompts."""


@dataclass(frozen=True, kw_only=True)
class Point(Measurement):
    """A measurement that was made."""

    number: int
    """From 1."""
    day: str
    """The day that it counts for: YYYY-MM-DD."""
    at: str
    """When it was made: ISO 8601, UTC, to the second."""
    surroundings: Surroundings
    above: tuple[str, ...] = field(default=())
    """Names of the texts that are more familiar than the threshold allows: of removal requests their ids."""

    def as_text(self) -> str:
        """Return it as a line that `read_point` reads."""
        return json.dumps(asdict(self))


def read_point(text: str) -> Point:
    """Read what `as_text` wrote."""
    value = json.loads(text)
    changed = {"surroundings": Surroundings(**value["surroundings"]), "above": tuple(value["above"])}
    return Point(**value | changed)


def measurement_due(points: Sequence[Point], now: Surroundings, every: int, day: date) -> Measurement | None:
    """Return the measurement that is to be made, or None where none is due.

    Args:
        points: Those that were made, the earliest first.
        now: What there is to measure.
        every: Days after which it is measured though nothing has changed.
        day: The day, UTC.
    """
    if not points:
        return Measurement(why="first", draw=0)
    last = points[-1]
    changed: Mapping[Why, bool] = {
        "model": last.surroundings.model != now.model,
        "data": last.surroundings.data != now.data,
        "libraries": dict(last.surroundings.libraries) != dict(now.libraries),
    }
    if why := next((name for name, differs in changed.items() if differs), None):
        return Measurement(why=why, draw=last.draw)
    if (day - date.fromisoformat(last.day)).days >= every:
        return Measurement(why="days", draw=last.draw + 1)
    return None


def come_back(points: Sequence[Point]) -> dict[str, str]:
    """Return the texts that the last measurement found above the threshold, each with when it was made."""
    return dict.fromkeys(points[-1].above, points[-1].at) if points else {}


def is_above(unlearned: float | None, target: float | None, threshold: float) -> bool:
    """Return whether a figure is above its threshold; without the model before it is not known, and it is not.

    Args:
        unlearned: Familiarity of the model that is watched.
        target: That of the model before.
        threshold: Share of the latter that may be left.
    """
    return unlearned is not None and target is not None and unlearned > threshold * target
