"""Claims: a state leads where it says and nowhere else, the final ones nowhere; a request is overdue when its day has
passed and it is neither verified nor ended; what machines are told of it holds no reference to what is not public.
"""

from datetime import timedelta

import pytest

from tasks.artifacts import BadInputError
from tasks.removals.records import (
    FINAL,
    LEADS_TO,
    STATES,
    Change,
    Removal,
    State,
    as_json,
    made_now,
    require_leading_to,
    today,
)


def removal(state: State, days: int) -> Removal:
    digests = {"target": "a" * 64, "base": "a" * 64, "model": "b" * 64, "forget": "c" * 64, "details": "d" * 64}
    change = Change(state=state, at="2026-01-01T00:00:00+00:00", by="ops")
    due = today() + timedelta(days=days)
    return Removal(id="R-0001", entry="e", history=(change,), due=due, method="whp", approve=False, **digests)


@pytest.mark.parametrize(
    ("state", "days", "overdue"),
    [
        ("received", 0, False),
        ("received", -1, True),
        ("running", -1, True),
        ("failed", -1, True),
        ("verified", -1, False),
        ("cancelled", -1, False),
        ("superseded", -1, False),
    ],
)
def test_what_is_overdue(state: State, days: int, overdue: bool) -> None:
    assert removal(state, days).is_overdue == overdue
    assert as_json(removal(state, days))["overdue"] == overdue


@pytest.mark.parametrize("before", STATES)
def test_a_state_leads_where_it_says_and_nowhere_else(before: State) -> None:
    for after in STATES:
        if after in LEADS_TO[before]:
            require_leading_to(removal(before, 1), after)
            continue
        from_here = " or ".join(known for known in STATES if after in LEADS_TO[known])
        with pytest.raises(BadInputError) as refused:
            require_leading_to(removal(before, 1), after)
        assert str(refused.value) == f"R-0001 is {before} and cannot become {after}; wanted one that is {from_here}"


def test_final_states_lead_nowhere_and_every_other_one_to_them() -> None:
    assert {state for state in STATES if not LEADS_TO[state]} == {*FINAL}
    assert all({*FINAL} <= {*LEADS_TO[state]} for state in STATES if state not in FINAL)
    assert {state for state in STATES if "running" in LEADS_TO[state]} == {*STATES} - {*FINAL}


def test_machines_are_told_states_and_digests_and_no_reference_to_what_is_not_public() -> None:
    told = as_json(removal("received", 3))
    assert (told["id"], told["state"], told["history"][0]["by"]) == ("R-0001", "received", "ops")
    assert "d" * 64 not in str(told)
    assert "b" * 64 not in str(told)


def test_an_account_without_a_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert made_now("received").by == "unknown"
