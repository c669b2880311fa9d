"""The flow `benchmark`, a monitor: what finished models, unlearned or edited, still say of what they were to forget,
and what they can do otherwise, measured when something has changed and else every few days.

    models, text, libraries as they are now > is a measurement due, and why > a point in the model's lasting run > plot
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.steps.flow_runs import flow
from flows.steps.prefect_ui import progress_artifacts, show_run
from flows.steps.watching import FAMILIARITY, Watched, given, measured, registered, surroundings
from tasks import store, tracking
from tasks.artifacts import BadInputError
from tasks.execution import isolation
from tasks.monitoring.lasting_runs import Lasting, add_point, courses, find_lasting
from tasks.monitoring.points import Measurement, Point, Surroundings, is_above, measurement_due
from tasks.removals import records
from tasks.reporting.monitor_plots import monitor_plot
from tasks.settings.monitoring import MonitoringConfig
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.tracking_server import NoTrackingServerError

ABOVE = "lethe.monitor.above"
"""Event of a flow run: what a model was to forget is above its threshold."""
PLOT = "measurements.png"


@dataclass(frozen=True, kw_only=True)
class Look:
    """What became of one model."""

    name: str
    """What it is called, public."""
    point: Point | None
    """What was measured; None where nothing was due, or it could not be."""
    mlflow_run: str
    broke_off: str = ""
    """Kind of the error that ended it."""

    def in_words(self) -> str:
        """Return it in one line."""
        if self.broke_off:
            return f"{self.name}: ended by {self.broke_off}"
        if self.point is None:
            return f"{self.name}: nothing has changed, and no measurement is due"
        back = f", above the threshold: {', '.join(one or 'the text' for one in self.point.above)}"
        return f"{self.name}: measured ({self.point.why}){back if self.point.above else ''}"


@flow(name="benchmark", log_prints=False, validate_parameters=True)
def benchmark(
    request: UnlearningRequest | None = None,
    config: MonitoringConfig = MonitoringConfig(),
    *,
    judged: str = "",
    today: date | None = None,
) -> list[Look]:
    """Measure models that were unlearned or edited, where that is due.

    Args:
        request: What the model was to forget; `model` is the one before, without which nothing is told to have come
            back. None: the models of all removal requests, as the alias `unlearned` has them.
        config: All settings.
        judged: The model that is watched, with a request: a folder (safetensors), a hub name, or one of the registry.
        today: The day that it is taken to be, UTC; none: today.

    Raises:
        BadInputError: If only one of request and model is given.
    """
    if bool(judged) != (request is not None):
        raise BadInputError("only one of `request` and `judged` is given; wanted both, or neither")
    watched = [given(request, judged)] if request else registered()
    looks = [_look(one, config, today or records.today()) for one in watched]
    message = "; ".join(look.in_words() for look in looks) or "Nothing to measure: no alias `unlearned` is set"
    return _concluded(looks, message)


def _concluded(looks: list[Look], message: str) -> State[Any]:
    for look in looks:
        if look.point and look.point.above:
            _emit(look, message)
    if any(look.broke_off for look in looks):
        return Failed(message=message)
    return Completed(message=message, data=looks)


def _emit(look: Look, message: str) -> None:
    emit_event(
        event=ABOVE,
        resource={"prefect.resource.id": f"prefect.flow-run.{flow_run.id}", "prefect.resource.name": flow_run.name},
        payload={"message": message, "model": look.name, "mlflow_run": look.mlflow_run},
    )


def _look(watched: Watched, config: MonitoringConfig, day: date) -> Look:
    """Measure one model where that is due; one that cannot be had does not keep the others from it."""
    lasting = find_lasting(watched.key)
    try:
        now = surroundings(watched, config)
        due = measurement_due(lasting.points, now, config.monitor.every, day)
        if due is None:
            return Look(name=watched.name, point=None, mlflow_run=lasting.run)
        get_run_logger().info("%s is measured (%s)", watched.name, due.why)
        after = _measure(watched, config, lasting, due, now, day)
    except NoTrackingServerError:
        raise
    except Exception as error:  # it may name the user's files: its kind alone is said
        return Look(name=watched.name, point=None, mlflow_run=lasting.run, broke_off=type(error).__name__)
    return Look(name=watched.name, point=after.points[-1], mlflow_run=after.run)


def _measure(
    watched: Watched, config: MonitoringConfig, lasting: Lasting, due: Measurement, now: Surroundings, day: date
) -> Lasting:
    """Make a measurement, and add it to the model's lasting run."""
    isolation.begin()
    try:
        with progress_artifacts():
            figures = measured(watched, config, due.draw)
    except BaseException:
        isolation.abort()
        raise
    point = Point(
        why=due.why,
        draw=due.draw,
        number=len(lasting.points) + 1,
        day=day.isoformat(),
        at=records.now(),
        surroundings=now,
        above=tuple(name for name in watched.asked if _above(name, figures, config.monitor.threshold)),
    )
    after = add_point(lasting, watched.name, point, figures)
    show_run(after.run)
    _plot(after)
    return after


def _above(name: str, figures: dict[str, float], threshold: float) -> bool:
    metric = f"{name}/{FAMILIARITY}" if name else FAMILIARITY
    return is_above(figures.get(metric), figures.get(f"{metric}.target"), threshold)


def _plot(lasting: Lasting) -> None:
    """Draw all measurements anew, in the place of the plot before."""
    picture = monitor_plot(courses(lasting), [point.day for point in lasting.points])
    with store.scratch() as folder:
        (folder / PLOT).write_bytes(picture.png)
        tracking.log_artifact(lasting.run, folder / PLOT, "public", "monitor")
