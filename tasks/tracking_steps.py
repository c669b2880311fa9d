"""Metrics on their way to MLflow: sent in batches, and kept while their server is away.

A training of hours does not end because its server is started anew meanwhile. What could not be sent waits in the
process and in a file of the store (`tasks.execution.undelivered`); it is sent when the server answers again, at the
latest by the next run. MLflow knows a point of a metric by run, name, step, time and value, so that one which arrives
twice, since its first answer was lost, is one point.
"""

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tasks.execution import undelivered
from tasks.execution.undelivered import Row
from tasks.tracking_server import NoTrackingServerError, client, tracking_uri, without_secrets

if TYPE_CHECKING:
    from mlflow import MlflowClient

FLUSH_ROWS = 50
"""Steps that are logged together: a single call costs 27 ms on sqlite."""
REFUSALS = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "INVALID_STATE")
"""What a server says of rows that it will never take: their run was deleted."""
RETRY_S = 30.0
"""Seconds until a server that is away is asked again: asking takes time from the training."""
_log = logging.getLogger(__name__)


class StepLog:
    """Per-step metrics, sent in batches. Rows of a server that is away wait; at the end it has to be there."""

    def __init__(self, run: str | None) -> None:
        self._run, self._rows = run, []
        self._api = client() if run else None
        self._away_until, self._kept = 0.0, None

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take one step's metrics."""
        self._rows.append((step, int(time.time() * 1000), {name: float(value) for name, value in metrics.items()}))
        if len(self._rows) % FLUSH_ROWS == 0:
            self.flush()

    def flush(self) -> None:
        """Send what is waiting, unless the server was away a moment ago; then it is kept."""
        if time.monotonic() < self._away_until:
            self._keep()
            return
        try:
            self._deliver()
        except NoTrackingServerError as error:
            self._away_until = time.monotonic() + RETRY_S
            self._keep()
            _log.warning("%s; training goes on, and its metrics wait", error)

    def _deliver(self) -> None:
        if self._api is not None:
            deliver(self._api, str(self._run), self._rows)
        self._rows.clear()
        if self._kept:
            self._kept.unlink(missing_ok=True)  # the next run may have been faster
            self._kept = None

    def _keep(self) -> None:
        """Keep what waits, for the case that this process is killed."""
        if self._api is not None and self._rows:
            self._kept = self._kept or undelivered.place(str(self._run))
            undelivered.keep(self._kept, without_secrets(tracking_uri()), str(self._run), self._rows)

    def __enter__(self) -> "StepLog":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            self._deliver()
        except NoTrackingServerError:
            self._keep()
            if error is None:  # the stage's own error says more
                raise


def log_metrics(run: str | None, metrics: Mapping[str, float]) -> None:
    """Log numbers without a step, in one call."""
    with StepLog(run) as log:
        log(0, metrics)


def deliver(api: "MlflowClient", run: str, rows: list[Row]) -> None:
    """Send rows of a run, and take from the list what has arrived.

    Raises:
        NoTrackingServerError: If the server is away; the list has what it has not got, and perhaps what it has.
    """
    from mlflow.exceptions import MlflowException

    while rows:
        batch = rows[:FLUSH_ROWS]
        try:
            _send(api, run, batch)
        except MlflowException:  # it may have been away for a moment, and be back
            _send(api, run, batch)
        del rows[: len(batch)]


def _send(api: "MlflowClient", run: str, rows: Sequence[Row]) -> None:
    from mlflow.entities import Metric

    points = [Metric(name, value, at, step) for step, at, metrics in rows for name, value in metrics.items()]
    api.log_batch(run, metrics=points)


def deliver_undelivered(api: "MlflowClient") -> None:
    """Send what earlier runs could not; what is for a run that the server no longer knows is dropped.

    Raises:
        NoTrackingServerError: If the server is away.
    """
    from mlflow.exceptions import MlflowException

    for found in undelivered.waiting(without_secrets(tracking_uri())):
        try:
            deliver(api, found.run, found.rows)
        except MlflowException as error:
            if error.error_code not in REFUSALS:  # it may pass
                _log.warning("metrics of run %s still wait, since its server says %s", found.run, error.error_code)
                continue
            _log.warning("metrics of run %s are dropped, since its server says %s", found.run, error.error_code)
        with contextlib.suppress(OSError):  # another run has just done it
            found.file.unlink()
