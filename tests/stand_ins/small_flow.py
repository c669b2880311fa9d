"""The flow of `runs`: two stages, the second of which needs what the first made, under one tracked run."""

from typing import Any

from flows.steps.flow_runs import flow
from flows.steps.judging import tracked
from flows.steps.outcome import Stages
from tasks import tracking
from tests.stand_ins.stages import copy_note, finish_slowly, take_note, take_note_apart


@flow(name="small", log_prints=False)
def small(counter: str, text: str, seconds: float, apart: bool) -> str:
    """Note a text, then another one beside it; return the digest of that.

    Args:
        counter: Folder that gets a file for every computation.
        text: What to note.
        seconds: How long the second stage takes, if it has a process of its own.
        apart: Whether stages have processes of their own.
    """
    run = tracking.open_run("small", {"text": text}, {"lethe.method": "small"})
    with tracked(run):
        stages = Stages(run=run)
        note = stages.result("noting", (take_note_apart if apart else take_note).submit(text, counter, run))
        made = stages.result("finishing", _finish(note, counter, seconds, apart, run))
    tracking.close(run)
    return made.digest


def _finish(note: Any, counter: str, seconds: float, apart: bool, run: str) -> Any:
    if apart:
        return finish_slowly.submit(note, seconds, counter, run)
    return copy_note.submit(note, "finished", counter, "second", run)
