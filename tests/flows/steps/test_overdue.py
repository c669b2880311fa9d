"""Claims: without a late request no event is told; those of late ones arrive in `tests/deployments`."""

from flows.steps.overdue import tell_overdue


def test_nothing_is_told_of_no_requests() -> None:
    assert tell_overdue([]) == []
