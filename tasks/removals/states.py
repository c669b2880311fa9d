"""How a removal request goes from one state to the next. Whoever works on one holds its lock: nobody else does then."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tasks import store, tracking_leases, tracking_requests
from tasks.artifacts import BadInputError
from tasks.removals.records import STOPPED, Change, Removal, State, made_now, require_leading_to
from tasks.removals.register import CHANGE, ENTRY, LOCK, all_requests, find


def change(name: str, state: State, words: str = "", *, run: str = "") -> Removal:
    """Bring a request into a state.

    Args:
        name: Its id.
        state: The new state.
        words: What there is to say, public.
        run: Tracked run that it came by.

    Raises:
        BadInputError: If the state it is in does not lead there.
    """
    with store.lock(LOCK):
        removal = find(name)
        require_leading_to(removal, state)
        return _note(removal, made_now(state, words, run))


def stop(name: str, run: str) -> Removal:
    """Bring a request whose run came to no verdict, and did not fail, back to what it was before."""
    return change(name, find(name).before_running, STOPPED, run=run)


def stop_for(run: str) -> None:
    """Do so for the request that a tracked run was made for, if it is still taken to be under way."""
    for removal in all_requests():
        if removal.state == "running" and removal.history[-1].run == run:
            stop(removal.id, run)


def remark(name: str, words: str) -> Removal:
    """Note in a request's history what does not change its state."""
    with store.lock(LOCK):
        removal = find(name)
        return _note(removal, made_now(removal.state, words))


def rebase(name: str, base: str) -> None:
    """Note on which model, by digest, the request was carried out."""
    with store.lock(LOCK):
        removal = find(name)
        if removal.base != base:
            tracking_requests.amend_entry(removal.entry, {f"{ENTRY}.base": base})


def cancel(name: str) -> Removal:
    """End a request that is no longer wanted.

    Raises:
        BadInputError: If it has ended, or a run for it is under way.
    """
    return _end(find(name), "cancelled")


def supersede(name: str, later: Removal) -> Removal:
    """End a request in whose place another one stands.

    Raises:
        BadInputError: If it has ended, or a run for it is under way.
    """
    ended = _end(find(name), "superseded", f"by {later.id}")
    tracking_requests.amend_entry(ended.entry, {f"{ENTRY}.superseded_by": later.id})
    return find(ended.id)


def _end(removal: Removal, state: State, words: str = "") -> Removal:
    require_leading_to(removal, state)
    with under_way(removal.id):
        return change(removal.id, state, words)


@contextmanager
def under_way(name: str, flow_run: str = "") -> Iterator[Removal]:
    """Keep others from a request while the block runs; whoever is killed lets go of it.

    Args:
        name: Its id.
        flow_run: The flow run in Prefect that works on it: one that was suspended goes on.

    Raises:
        BadInputError: If another run for it is under way, or waits for a person.
    """
    removal = find(name)
    if (waits := tracking_leases.requests_that_wait().get(removal.id, flow_run)) != flow_run:
        raise BadInputError(
            f"{removal.id}: a run for it is under way and waits for a person, flow run {waits} in Prefect; wanted its"
            " form sent, or that run cancelled"
        )
    with ExitStack() as held:
        try:
            held.enter_context(store.lock(f"removal-{removal.id}", waits=False))
        except TimeoutError:
            raise BadInputError(f"{removal.id}: a run for it is under way; wanted it to end first") from None
        yield removal


def _note(removal: Removal, change: Change) -> Removal:
    number = len(removal.history) + 1
    tags = {f"{CHANGE}{number:04d}": change.as_text(), f"{ENTRY}.state": change.state}
    tracking_requests.amend_entry(removal.entry, tags)
    return find(removal.id)
