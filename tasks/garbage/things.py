"""What takes disk and may go, and what of it is needed: a pure function, which reads and deletes nothing.

Things need things: a model version its run and its weights, an adapter its base, a run the runs that its figures come
from. Kept is what has a reason of its own (a version, a request, a lease, a stage under way), what was made or used
lately, and whatever any of these needs, at whatever distance. The rest is garbage.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

YOUNG = "used lately"
"""Reason of what nothing refers to and was made or used after the cut."""


@dataclass(frozen=True, kw_only=True)
class Thing:
    """Something that may be deleted, or that says what may not."""

    kind: str
    """What a table calls it."""
    name: str
    """Digest, key or id; unique over all kinds."""
    used: float = 0.0
    """When it was made or used last, seconds of the epoch."""
    bytes: int = 0
    place: str = ""
    """Where it is: a file, a folder or a server's address; empty: it is never deleted, and only needs others."""
    needs: frozenset[str] = frozenset()
    """Names of what is kept with it; those of nothing that is here do not matter."""
    reason: str = ""
    """Why it is kept, whatever its age; empty: it may go."""


def cut(now: float, older_than_s: float, running_since: Iterable[float], margin_s: float) -> float:
    """Return since when whatever was made or used is kept, seconds of the epoch.

    A run under way has made, or found in the cache, all that it will read: nothing that was used after it began goes.

    Args:
        now: Seconds of the epoch.
        older_than_s: Seconds for which things are kept that nothing refers to.
        running_since: When runs under way began.
        margin_s: Seconds for which a run looks at its inputs before it begins.
    """
    return min([now - older_than_s, *(began - margin_s for began in running_since)])


def kept(things: Sequence[Thing], since: float) -> dict[str, str]:
    """Return name -> reason of everything that is kept.

    Args:
        things: All that there are.
        since: What was used then or later is kept.
    """
    by_name, reasons = {thing.name: thing for thing in things}, dict[str, str]()
    own = {thing.name: thing.reason or YOUNG for thing in things if thing.reason or thing.used >= since}
    # taken from the end: a version or a request is told as the reason before age is
    waiting = sorted(own.items(), key=lambda root: (root[1] != YOUNG, root))
    while waiting:
        name, reason = waiting.pop()
        if name not in reasons:
            reasons[name] = reason
            waiting += [(needed, reason) for needed in sorted(by_name[name].needs & by_name.keys())]
    return reasons


def garbage(things: Sequence[Thing], since: float) -> list[Thing]:
    """Return what may be deleted, in its order: what `kept` does not name and has a place."""
    needed = kept(things, since)
    return [thing for thing in things if thing.place and thing.name not in needed]


def held_by(runs: Mapping[str, Iterable[str]], origins: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Return run -> names of what it made or found in the cache; what several runs share is in the list of each.

    Args:
        runs: Run -> ids of its stages' runs, and of those whose results these took from the cache.
        origins: Name -> ids of the stages' runs that made it.
    """
    made: dict[str, set[str]] = {}
    for name, makers in origins.items():
        for maker in makers:
            made.setdefault(maker, set()).add(name)
    return {run: sorted({name for stage in stages for name in made.get(stage, ())}) for run, stages in runs.items()}
