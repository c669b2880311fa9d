"""Progress of stages: a stage says how far it is, whoever listens shows it."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a stage is."""

    stage: str
    done: int
    total: int
    note: str = ""
    """What is worth a glance, such as the loss; never forgotten text."""


_listeners: list[Callable[[Progress], None]] = []
_stage: ContextVar[str] = ContextVar("lethe_stage", default="")
_under_way: dict[str, Progress] = {}
"""Stage -> what it said last, as long as that was not the end."""


def listen(listener: Callable[[Progress], None]) -> Callable[[], None]:
    """Call `listener` with all progress of this process from now on; returns a function that ends it."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def enter(stage: str) -> None:
    """Name the stage that runs in this context."""
    _stage.set(stage)
    _under_way.pop(stage, None)


def current() -> str:
    """Return the name of the stage that runs in this context."""
    return _stage.get()


def report(done: int, total: int, note: str = "") -> None:
    """Say that `done` of `total` steps of the current stage are done."""
    said = Progress(stage=_stage.get(), done=done, total=total, note=note)
    if done < total:
        _under_way[said.stage] = said
    else:
        _under_way.pop(said.stage, None)
    publish(said)


def leave() -> None:
    """Say that the current stage has ended, also where it needed fewer steps than it might have."""
    last = _under_way.pop(_stage.get(), None)
    if last is not None:
        publish(replace(last, total=last.done) if last.done else replace(last, done=last.total))


def publish(progress: Progress) -> None:
    """Pass progress on to all listeners."""
    for listener in list(_listeners):
        listener(progress)
