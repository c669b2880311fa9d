"""The flow `scheduled-reunlearning`: on its schedule it carries out what is due of the removal requests, one after the
other on one model, and else does nothing, and says so.

    register, models, registry, monitor > what is due, and why > conflicts
    each due request from what the one before it made > all earlier ones scored again on the last version

A look costs no tracked run. What is due, and why, is decided in `tasks.removals.due`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from functools import partial
from typing import Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.evaluation import evaluate
from flows.methods import AUTOMATIC, METHODS
from flows.methods import method as find_method
from flows.steps import forms
from flows.steps.bases import NO_MODEL, Base, gather_bases
from flows.steps.conflicts import conflicts_on
from flows.steps.flow_runs import flow
from flows.steps.overdue import tell_overdue
from flows.steps.settings import apply_settings
from flows.steps.verdict_state import failed_for_good
from flows.steps.watching import watched_for
from tasks import tracking_leases, tracking_registry
from tasks.execution import isolation
from tasks.models.gathering import version_uri
from tasks.monitoring.lasting_runs import find_lasting
from tasks.monitoring.points import come_back
from tasks.removals import records, register, states
from tasks.removals.aliases import in_words, model_name, scored_again
from tasks.removals.conflicts import Conflict
from tasks.removals.due import Due, due_tonight, front, to_score_again
from tasks.removals.records import Removal
from tasks.settings.evaluation import EvaluationConfig
from tasks.tracking_registry import Version
from tasks.tracking_server import NoTrackingServerError


@dataclass(frozen=True, kw_only=True)
class Carried:
    """What became of a request that was due."""

    due: Due
    state: str
    """`verified`, `failed`, or `ended by` an error of some kind."""


@dataclass(frozen=True, kw_only=True)
class OneBase:
    """What a night did on one model."""

    name: str
    """Of the registered model."""
    carried: tuple[Carried, ...] = ()
    again: tuple[tuple[str, str], ...] = ()
    """Id of an earlier request, and `passed`, `not passed` or what ended its scoring on the last version."""
    conflicts: tuple[Conflict, ...] = ()

    @property
    def is_broken_off(self) -> bool:
        """Whether something came to no verdict."""
        states = [*(one.state for one in self.carried), *(state for _, state in self.again)]
        return any(state.startswith(records.BROKE_OFF) for state in states)

    def in_words(self) -> str:
        """Return it in one line."""
        did = [f"{one.due.id} {one.state} ({one.due.reason})" for one in self.carried]
        did += [f"{name} scored again: {state}" for name, state in self.again]
        return "; ".join([f"{self.name}: {', '.join(did)}", *(found.in_words() for found in self.conflicts)])


@dataclass(frozen=True, kw_only=True)
class Night:
    """What a night did."""

    requests: int
    """That were looked at."""
    bases: tuple[OneBase, ...]
    """Those on which something was due."""
    left_out: tuple[tuple[str, str], ...]
    """Id of a request that could not be looked at, and why."""

    def in_words(self) -> str:
        """Return it as the message of the final state."""
        nothing = f"Nothing to do: of {self.requests} requests none is new, due, on a changed model or come back"
        did = "; ".join(one.in_words() for one in self.bases) or nothing
        return "; ".join([did, *(f"{name} left out: {why}" for name, why in self.left_out)])

    @property
    def carried(self) -> list[Carried]:
        """What was carried out, on all models."""
        return [one for base in self.bases for one in base.carried]


@flow(name="scheduled-reunlearning", log_prints=False, validate_parameters=True)
def scheduled_reunlearning(
    settings: tuple[str, ...] = (), today: date | None = None, require_verdict: bool = False
) -> Night:
    """Carry out what is due of the removal requests: on a new base, a new or due request, or where something came back.

    Args:
        settings: KEY=VALUE for the settings of every request's method, as `--set` takes them.
        today: The day that it is taken to be, UTC; none: today.
        require_verdict: Whether the flow run fails when a verdict is not passed.
    """
    forms.clear_ended()
    bases, left_out = gather_bases(register.all_requests())
    day = today or records.today()
    done = [_on_base(base, settings, day) for base in bases]
    tell_overdue(register.all_requests(), day)
    night = Night(
        requests=sum(len(base.requests) for base in bases),
        bases=tuple(one for one in done if one.carried),
        left_out=tuple(left_out.items()),
    )
    return _concluded(night, require_verdict)


def _concluded(night: Night, require_verdict: bool) -> State[Any]:
    """Return the final state: failed where a request broke off or its model is not there, which may be tried again, and
    where a verdict is required and one is not passed, which would not pass the second time.
    """
    message = night.in_words()
    if any(base.is_broken_off for base in night.bases) or NO_MODEL in dict(night.left_out).values():
        return Failed(message=message)
    if require_verdict and any(one.state == "failed" for one in night.carried):
        return failed_for_good(message)
    return Completed(message=message, data=night)


def _on_base(base: Base, settings: Sequence[str], day: date) -> OneBase:
    """Carry out what is due on one model."""
    name = model_name(base.digest)
    above = come_back(find_lasting(watched_for(name, {}).key).points)
    waiting, versions = tracking_leases.requests_that_wait(), tracking_registry.versions(name)
    due = due_tonight(base.requests, base.digest, versions, above, day, waiting)
    if not due:
        return OneBase(name=name)
    configs = {one.id: _config(base.asked[one.id].method, settings) for one in base.requests}
    isolation.begin()
    conflicts = conflicts_on(base, configs)
    for found in conflicts:
        get_run_logger().warning("%s", found.in_words())
    carried = [Carried(due=one, state=_guarded(one.id, partial(_carry_out, base, one, configs[one.id]))) for one in due]
    again = _score_again(base, configs)
    return OneBase(name=name, carried=tuple(carried), again=tuple(again), conflicts=tuple(conflicts))


def _config(method: str, settings: Sequence[str]) -> Any:
    return apply_settings(find_method(method, METHODS | AUTOMATIC).preset("default", 0), list(settings))


def _start(base: Base) -> Version | None:
    """Return the version that the next request starts from, by the registry as it is now."""
    return front(tracking_registry.versions(model_name(base.digest)), base.digest, base.requests)


def _carry_out(base: Base, due: Due, config: Any) -> str:
    """Carry out a request on what the ones before it made, and return what became of it.

    One that stands apart is first scored there: a night that was ended may have got no further.
    """
    asked, start = base.asked[due.id], _start(base)
    if due.reason == "apart" and start and _score(register.find(due.id), base, start, config):
        return "verified"
    model = version_uri(start) if start else base.model
    get_run_logger().info("%s is carried out (%s) on %s", due.id, due.reason, _called(start))
    request = replace(asked.text, model=model, removal=due.id, approve=asked.approve)
    find_method(asked.method, METHODS | AUTOMATIC).flow()(request, config)
    return register.find(due.id).state


def _guarded(name: str, work: Callable[[], str]) -> str:
    """Return what became of a request, also where an error did: it keeps no other one from being carried out."""
    try:
        return work()
    except NoTrackingServerError:
        raise
    except Exception as error:  # it may name the user's files: its kind alone is said
        get_run_logger().error("%s %s%s", name, records.BROKE_OFF, type(error).__name__)
        return f"{records.BROKE_OFF}{type(error).__name__}"


def _called(start: Version | None) -> str:
    return f"{start.name} version {start.number}" if start else "the base"


def _score_again(base: Base, configs: dict[str, Any]) -> list[tuple[str, str]]:
    """Score earlier requests on the last version, from which the next one would start; return what became of each."""
    if (start := _start(base)) is None:
        return []
    earlier = to_score_again(start, [register.find(one.id) for one in base.requests])
    return [(one.id, _guarded(one.id, partial(_scored, one, base, start, configs[one.id]))) for one in earlier]


def _scored(one: Removal, base: Base, version: Version, config: Any) -> str:
    return in_words(_score(one, base, version, config))


def _score(one: Removal, base: Base, version: Version, config: Any) -> bool:
    """Judge a version by a request's own questions, as the run for it did, and note the verdict."""
    shared = EvaluationConfig(**{field.name: getattr(config, field.name) for field in fields(EvaluationConfig)})
    asked = replace(base.asked[one.id].text, model=base.model)
    passed = evaluate(asked, shared, judged=version_uri(version), held_out=True).scorecard.passed
    found = tracking_registry.find_version(version.name, version.number) or version
    scored_again(found, base.digest, one, passed)
    states.remark(one.id, f"scored again on {_called(version)}: {in_words(passed)}")
    return passed
