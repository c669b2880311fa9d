"""The models that removal requests are about, as they are now, each with all its requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.artifacts import BadInputError
from tasks.models.gathering import gather_models
from tasks.removals.records import Removal
from tasks.removals.register import base_of, read_details
from tasks.settings.removal_requests import RemovalRequest

PURGED, NO_MODEL = "what it names was purged, or is in another store", "its model cannot be had"
"""Why a request is left out."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """A model with requests."""

    digest: str
    model: str
    """Folder, hub name or alias, as its first request names it."""
    requests: tuple[Removal, ...]
    """The earliest first."""
    asked: Mapping[str, RemovalRequest]
    """Id -> what the request says."""


def gather_bases(removals: Sequence[Removal]) -> tuple[list[Base], dict[str, str]]:
    """Return the models that requests in force are about, and id -> why a request is left out, which names nothing.

    Args:
        removals: All requests, the earliest first.
    """
    left_out, asked = dict[str, str](), dict[str, RemovalRequest]()
    digests, names = dict[str, str | None](), dict[str, str]()
    found: dict[str, list[Removal]] = {}
    for one in (removal for removal in removals if removal.is_in_force):
        try:
            asked[one.id] = read_details(one).request
        except BadInputError:
            left_out[one.id] = PURGED
            continue
        model = asked[one.id].text.model
        if one.model not in digests:
            digests[one.model] = _digest(model)
        if (digest := digests[one.model]) is None:
            left_out[one.id] = NO_MODEL
            continue
        names.setdefault(digest, model)
        found.setdefault(digest, []).append(one)
    bases = [
        Base(digest=digest, model=names[digest], requests=tuple(each), asked={one.id: asked[one.id] for one in each})
        for digest, each in found.items()
    ]
    return bases, left_out


def _digest(model: str) -> str | None:
    """Return the digest of the base, or None where the model is not there or is none that is let in."""
    try:
        return base_of(gather_models({"target": model})["target"])
    except BadInputError:
        return None
