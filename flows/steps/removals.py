"""A run that is made for a removal request: the request goes through its states with it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from prefect.exceptions import Pause
from prefect.runtime import flow_run

from flows.steps import forms
from flows.steps.providers import say
from tasks.artifacts import CheckpointRef
from tasks.corpus import CorpusInputs
from tasks.removals import register, states
from tasks.removals.records import BROKE_OFF, VERDICT, Removal, State, require_leading_to
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.tracking_server import NoTrackingServerError


def checked(request: UnlearningRequest, inputs: CorpusInputs, target: CheckpointRef | None) -> Removal | None:
    """Return the removal request that a run is made for, or None where it is made for none; a model that is not what
    it was is said.

    Raises:
        BadInputError: If there is no such request, it has ended, or its text is not what it was.
    """
    if not request.removal:
        return None
    removal = register.find(request.removal)
    require_leading_to(removal, "running")
    register.require_unchanged(removal, inputs.by_split())
    if target and register.base_of(target) != removal.base:
        say(f"{removal.id}: the model is not what it was when the request was received, or last carried out")
    return removal


@dataclass(kw_only=True)
class Work:
    """What a run does for a request; nothing, where it is made for none."""

    removal: Removal | None
    begun: bool = False
    run: str = ""

    def begin(self, run: str) -> None:
        """Say that a tracked run is under way."""
        self.run = run
        self._change("running")
        self.begun = True

    def end(self, passed: bool, target: CheckpointRef) -> None:
        """Say what came of it, and on which model."""
        if self.removal:
            states.rebase(self.removal.id, register.base_of(target))
        self._change("verified" if passed else "failed", f"{VERDICT}{'passed' if passed else 'not passed'}")

    def break_off(self, error: BaseException) -> None:
        """Say that it came to no verdict: by an error, or since somebody stopped it. An error may name the user's
        files: its kind alone is said.
        """
        if not self.begun:
            return
        with suppress(NoTrackingServerError):  # the error itself says more
            if isinstance(error, Exception):
                self._change("failed", f"{BROKE_OFF}{type(error).__name__}")
            else:
                self._stop()

    def _stop(self) -> None:
        if self.removal:
            states.stop(self.removal.id, self.run)

    def _change(self, state: State, words: str = "") -> None:
        if self.removal:
            states.change(self.removal.id, state, words, run=self.run)


@contextmanager
def work_on(removal: Removal | None) -> Iterator[Work]:
    """Keep others from a request while a run for it is under way.

    Raises:
        BadInputError: If one is already.
    """
    if removal is None:
        yield Work(removal=None)
        return
    forms.clear_ended()
    with states.under_way(removal.id, str(flow_run.id or "")) as fresh:
        work = Work(removal=fresh)
        try:
            yield work
        except Pause:  # it is under way still, and goes on in another process
            raise
        except BaseException as error:
            work.break_off(error)
            raise
