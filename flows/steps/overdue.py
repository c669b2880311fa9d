"""Removal requests past their due date, told to the Prefect server as events: what is to be done about them is for
whoever listens, as `deployments/automations.py` does.
"""

from collections.abc import Iterable
from datetime import date

from prefect.events import emit_event

from tasks.removals.records import Removal

OVERDUE = "lethe.request.overdue"
"""Event of a request that is open after its day."""


def tell_overdue(removals: Iterable[Removal], day: date) -> list[str]:
    """Emit an event for each request that is overdue on a day; return their ids."""
    late = [removal for removal in removals if removal.is_overdue_on(day)]
    for removal in late:
        message = f"{removal.id} was due on {removal.due.isoformat()} and is {removal.state}"
        resource = {"prefect.resource.id": f"lethe.removal-request.{removal.id}", "prefect.resource.name": removal.id}
        emit_event(event=OVERDUE, resource=resource, payload={"message": message})
    return [removal.id for removal in late]
