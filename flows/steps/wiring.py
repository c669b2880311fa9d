"""A graph of stages, declared once: a call names a stage and what it is given, other calls among it. A run submits it,
a plan looks it up.

    reinforced = Call(reinforce, corpus, target, config.reinforcement)
    labels = Call(make_labels, corpus, DICTIONARY, target, reinforced, config.labels)

Here `labels` needs what `reinforced` makes and the dictionary, which is still being translated. A call that several
others need is made once.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from flows.steps.outcome import StageOf


@dataclass(frozen=True)
class Later:
    """Stands in a declaration for what a run has only later on."""

    name: str


DICTIONARY = Later("dictionary")
"""The anchors with their translations."""
FACTS = Later("facts")
"""What the text states."""
ASKED_FACTS = Later("asked facts")
"""The same of the text that is asked about, where what is trained on comes with another half of it."""


class Call:
    """A stage that is to be called; two calls are equal where they are the same object."""

    def __init__(self, stage: Any, *arguments: Any, model: str = "") -> None:
        """Declare a call.

        Args:
            stage: A stage of `tasks`.
            arguments: In order, up to the tracking run: records, settings, other calls, or `Later`.
            model: Label of the model that it looks at, or what else tells it from others of its stage, where a run has
                several.
        """
        self.stage, self.arguments, self.model = stage, arguments, model

    @property
    def key(self) -> StageOf:
        """Under which name a run has its result."""
        return StageOf(self.stage.name, self.model)

    def upstream(self) -> "list[Call]":
        """Return all calls that this one needs, each once and after those that it needs itself, and last this one."""
        calls: dict[Call, None] = {}
        for one in _parts(self.arguments):
            if isinstance(one, Call):
                calls |= dict.fromkeys(one.upstream())
        return [*calls, self]

    @property
    def named(self) -> dict[str, str]:
        """What it is given by name."""
        return {"label": self.model} if self.model else {}

    def needs(self, later: Later) -> bool:
        """Whether it, or a call that it needs, is given what a run has only later on."""
        return any(one == later for call in self.upstream() for one in _parts(call.arguments))

    @property
    def waits(self) -> bool:
        """Whether one of its arguments is yet to be made."""
        return any(isinstance(one, (Call, Later)) for one in _parts(self.arguments))


@dataclass(kw_only=True)
class Wiring:
    """The calls of one run that are under way."""

    run: str | None
    """The tracked run."""
    values: dict[Later, Any] = field(default_factory=dict)
    """What has come: records, or futures of them."""
    futures: dict[Call, Any] = field(default_factory=dict)

    def submit(self, *calls: Call) -> None:
        """Begin calls, and first those that they need, as far as they are not under way."""
        for call in [each for last in calls for each in last.upstream()]:
            if call not in self.futures:
                self.futures[call] = call.stage.submit(
                    *(self._value(one) for one in call.arguments), **call.named, run=self.run
                )

    def begin(self, call: Call) -> None:
        """Begin, of a call and those that it needs, the ones that wait for nothing: one that waits would
        hold a worker.
        """
        self.submit(*(each for each in call.upstream() if not each.waits))

    def waiting(self) -> dict[StageOf, Any]:
        """Return the futures of all calls by stage and model."""
        return {call.key: future for call, future in self.futures.items()}

    def _value(self, one: Any) -> Any:
        return _resolved(one, self.futures, self.values)


def replaced(one: Any, put: Callable[[Any], Any]) -> Any:
    """Return an argument with `put(...)` in place of every call and `Later`, also within tuples."""
    if isinstance(one, tuple) and any(isinstance(part, (Call, Later)) for part in _parts(one)):
        return tuple(replaced(each, put) for each in one)
    return put(one) if isinstance(one, (Call, Later)) else one


def _parts(one: Any) -> Iterator[Any]:
    """Yield an argument, or what a tuple of them holds."""
    if isinstance(one, tuple):
        for each in one:
            yield from _parts(each)
    else:
        yield one


def _resolved(one: Any, records: Mapping[Call, Any], values: Mapping[Later, Any]) -> Any:
    """Return an argument with what calls made, and what has come, in its place."""
    return replaced(one, lambda awaited: records[awaited] if isinstance(awaited, Call) else values[awaited])


def look_up(call: Call, values: Mapping[Later, Any] = MappingProxyType({})) -> dict[StageOf, Any]:
    """Return what the cache has of a call and of those that it needs, by stage and model; None where it has nothing,
    and nothing is computed.
    """
    records: dict[Call, Any] = {}
    for each in call.upstream():
        arguments = [_resolved(one, records, values) for one in each.arguments]
        missing = any(isinstance(one, Call) and records[one] is None for one in _parts(each.arguments))
        records[each] = None if missing else each.stage.lookup(*arguments, **each.named)
    return {each.key: record for each, record in records.items()}
