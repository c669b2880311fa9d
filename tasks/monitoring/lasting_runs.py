"""One lasting tracked run a model that is watched: a step a measurement, and beside its figures a tag that says of it
what is public. The run is no work and has ended: it is written on all the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks import store, tracking, tracking_monitors
from tasks.monitoring.points import Point, read_point

MONITOR = "lethe.monitor"
"""Tag of the run: whom it watches, by a name that only this store can make."""
POINT = f"{MONITOR}.point."
"""Beginning of the tags with the measurements: they are numbered."""
METHOD = "monitor"


@dataclass(frozen=True, kw_only=True)
class Lasting:
    """What has been measured of a model."""

    key: str
    run: str = ""
    """Its tracked run; empty before the first measurement."""
    points: tuple[Point, ...] = ()
    """The earliest first."""


def find_lasting(model: str) -> Lasting:
    """Return what has been measured of a model.

    Args:
        model: What names it, and what it is asked about: the same for all its measurements.
    """
    key = store.keyed(model)
    found = tracking_monitors.find_monitor(f"tags.`{MONITOR}` = '{key}'")
    if found is None:
        return Lasting(key=key)
    points = [read_point(value) for name, value in sorted(found.tags.items()) if name.startswith(POINT)]
    return Lasting(key=key, run=found.id, points=tuple(points))


def add_point(lasting: Lasting, name: str, point: Point, figures: Mapping[str, float]) -> Lasting:
    """Add a measurement, in the run that is made with the first one.

    Args:
        lasting: What has been measured before.
        name: What a new run is called, public.
        point: What is said of the measurement.
        figures: Metric -> value.
    """
    run = lasting.run or tracking_monitors.make_monitor(
        f"{METHOD} {name}", {MONITOR: lasting.key, "lethe.method": METHOD}
    )
    named = {tracking.metric_name(metric): value for metric, value in figures.items()}
    tracking_monitors.log_point(run, point.number, named, {f"{POINT}{point.number:04d}": point.as_text()})
    return Lasting(key=lasting.key, run=run, points=(*lasting.points, point))


def courses(lasting: Lasting) -> dict[str, Sequence[tuple[int, float]]]:
    """Return metric -> its values, each with the number of its measurement."""
    run = tracking.find_run(lasting.run)
    names = sorted(run.data.metrics) if run else []
    return {name: [(each.step, each.value) for each in tracking.points(lasting.run, name)] for name in names}
