"""Claims: an event is told of every request that is open after its day, on the day that is asked about, and of no
other; it names the request by its number alone. That it arrives: `tests/deployments`.
"""

from datetime import date, timedelta
from typing import Any

import pytest

from flows.steps import overdue
from flows.steps.overdue import OVERDUE, tell_overdue
from tasks.removals.records import Removal, made_now

DAY = date(2027, 1, 31)


def removal(name: str, state: str, due: date) -> Removal:
    parts = dict.fromkeys(("entry", "target", "base", "model", "forget", "details"), "a" * 8)
    return Removal(id=name, history=(made_now(state),), due=due, method="whp", approve=False, **parts)


def test_what_is_open_after_its_day_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(overdue, "emit_event", lambda **event: told.append(event))
    states = ("received", "running", "failed", "verified", "superseded", "cancelled")
    removals = [removal(f"R-{number:04d}", state, DAY) for number, state in enumerate(states, 1)]
    assert tell_overdue(removals, DAY) == []
    assert tell_overdue(removals, DAY + timedelta(days=1)) == ["R-0001", "R-0002", "R-0003"]
    assert [event["event"] for event in told] == [OVERDUE] * 3
    assert told[0]["payload"] == {"message": "R-0001 was due on 2027-01-31 and is received"}
    assert told[0]["resource"]["prefect.resource.id"] == "lethe.removal-request.R-0001"
