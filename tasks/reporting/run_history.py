"""What finished runs tell: how long they took and their curves, whole also where training was broken off and went on in
another run.
"""

from collections.abc import Mapping
from typing import Any

from tasks import tracking

CONTINUES = "lethe.continues"
"""Tag of a run whose training began where that of another, which was broken off, had saved its state."""


def goes_on_from(run: str, earlier: str) -> None:
    """Note that a run's training began where that of `earlier` had saved its state."""
    tracking.set_tags(run, {CONTINUES: earlier})


def durations(runs: Mapping[str, str]) -> dict[str, float]:
    """Return how many seconds ended runs took, by the names given to them; what the server does not know, or is still
    under way, is left out.

    A run under several names, as that of a checkpoint which a rewind only passes on, counts under the first. Training
    that was broken off and went on in another run counts whole, without the time in between.
    """
    seconds, first = {}, {}
    for name, run in runs.items():
        first.setdefault(run, name)
    for run, name in first.items():
        *earlier, last = [part.info for part in _with_earlier(run)] or [None]
        if last and last.end_time:
            ended = [_last_step_at(info) - info.start_time for info in earlier] + [last.end_time - last.start_time]
            seconds[name] = round(sum(ended) / 1000, 1)
    return seconds


def curve(run: str, metric: str) -> list[tuple[int, float]]:
    """Return (step, value) of a run's metric, with those of the runs that it went on from; empty where the server knows
    no such run.
    """
    parts = [tracking.points(part.info.run_id, metric) for part in _with_earlier(run)]
    return sorted({point.step: point.value for part in parts for point in part}.items())


def _with_earlier(run: str) -> list[Any]:
    """Return the run (MLflow's record of it) after those that its training went on from, the first one first; nothing
    where the server knows no such run.
    """
    runs: list[Any] = []
    while record := tracking.find_run(run):
        runs.insert(0, record)
        run = record.data.tags.get(CONTINUES, "")
    return runs


def _last_step_at(info: Any) -> int:
    """Return when a run logged its last training step, in milliseconds: whoever killed it left no better sign of its
    end.
    """
    return max((point.timestamp for point in tracking.points(info.run_id, "loss_nats")), default=info.start_time)
