"""What is due tonight, and why: a decision over what register, registry and monitor have, and nothing else.

    new         no run for it has begun, or was stopped before it came to a verdict
    broken off  its last run ended by an error, or was killed
    new base    it was carried out on another model than the one that is there now
    came back   a measurement after its last run is above the threshold of what may be left
    due day     its day has come, its verdict is not passed, and no run for it ended since
    apart       it is verified, but on another version than the one that the others are carried out on

What waits for a person is under way, and not due.

A request that is due starts from the `front`: the version on which most requests on the same base have passed; where
there is none from the base. So the second starts from what the first made, and on a new base all begin anew.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from tasks.removals.aliases import VERDICT, lacking
from tasks.removals.records import Removal
from tasks.tracking_registry import Version

Reason = Literal["new", "broken off", "new base", "came back", "due day", "apart"]


@dataclass(frozen=True, kw_only=True)
class Due:
    """A request that is to be carried out, and why."""

    id: str
    reason: Reason


def due_tonight(
    requests: Sequence[Removal],
    base: str,
    versions: Sequence[Version],
    above: Mapping[str, str],
    day: date,
    waiting: Collection[str] = (),
) -> list[Due]:
    """Return the requests on one model that are to be carried out, the earliest first.

    Args:
        requests: Those on the model, the earliest first.
        base: Digest of the model as it is now.
        versions: What was made of it, and of what was there before it.
        above: Id -> when it was last measured to be above its threshold, ISO 8601, UTC.
        day: The day, UTC.
        waiting: Ids of those whose run waits for a person.
    """
    known = [one for one in requests if one.is_in_force]
    start = front(versions, base, known)
    reasons = {one.id: _reason(one, base, start, above.get(one.id, ""), day) for one in known}
    return [Due(id=name, reason=reason) for name, reason in reasons.items() if reason and name not in waiting]


def _reason(one: Removal, base: str, start: Version | None, above: str, day: date) -> Reason | None:
    ended = one.last_end
    if one.state == "running" or (ended and not ended.is_verdict and one.state == "failed"):
        return "broken off"
    if ended is None or one.state == "received":
        return "new"
    if one.base != base:
        return "new base"
    if above > ended.at:
        return "came back"
    if one.state == "failed" and date.fromisoformat(ended.at[:10]) < one.due <= day:
        return "due day"
    return "apart" if one.state == "verified" and start and not judged(start, one.id) else None


def front(versions: Sequence[Version], base: str, requests: Sequence[Removal]) -> Version | None:
    """Return the version that the next request starts from: of those that passed for the request which they were made
    for, the one that lacks the fewest, the newest of several; None where there is none.

    Args:
        versions: Of the registered model.
        base: Digest of the model that they have to be made of.
        requests: Those in force.
    """
    ids = [one.id for one in requests]
    fitting = [one for one in versions if one.tags.get("lethe.base") == base and made_for(one) in ids]
    passed = [one for one in fitting if made_for(one) not in lacking(one, ids)]
    return min(passed, key=lambda version: (len(lacking(version, ids)), -version.number), default=None)


def made_for(version: Version) -> str:
    """Return the id of the request that a version was made for; empty where it was for none."""
    return version.tags.get("lethe.request", "")


def judged(version: Version, request: str) -> bool:
    """Return whether a version has a verdict for a request, passed or not."""
    return f"{VERDICT}.{request}" in version.tags


def to_score_again(version: Version, requests: Sequence[Removal]) -> list[Removal]:
    """Return the requests, verified on earlier versions, of which nobody knows whether this one still forgets them."""
    return [one for one in requests if one.state == "verified" and not judged(version, one.id)]
