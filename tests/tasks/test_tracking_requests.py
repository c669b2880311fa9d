"""Claims: entries are ended runs of an experiment of their own, found in the order in which they were made, by what
stands in them; a deleted one is there only for whoever asks for those too.
"""

from pathlib import Path

import pytest

from tasks import tracking, tracking_requests
from tests.stand_ins.databases import give_runs


@pytest.fixture(autouse=True)
def home(lethe_home: Path) -> Path:
    give_runs(lethe_home)
    return lethe_home


def test_entries_are_found_by_their_tags_in_order_and_deleted_ones_on_request() -> None:
    ids = [
        tracking_requests.make_entry(f"R-{number}", {"kind": "odd" if number % 2 else "even"}) for number in range(5)
    ]
    assert [entry.id for entry in tracking_requests.entries()] == ids
    assert [entry.id for entry in tracking_requests.entries("tags.kind = 'odd'")] == [ids[1], ids[3]]
    tracking.client().delete_run(ids[0])
    assert [entry.id for entry in tracking_requests.entries()] == ids[1:]
    assert [entry.id for entry in tracking_requests.entries(deleted=True)] == ids


def test_an_entry_is_an_ended_run_of_an_experiment_of_its_own_and_is_amended() -> None:
    entry = tracking_requests.make_entry("R-1", {"state": "received", "due": "tomorrow"})
    tracking_requests.amend_entry(entry, {"state": "running"}, "R-2")
    run, work = tracking.client().get_run(entry), tracking.open_run("work", {}, {})
    assert (run.info.status, run.info.run_name) == ("FINISHED", "R-2")
    assert run.info.experiment_id != tracking.client().get_run(work).info.experiment_id
    (found,) = tracking_requests.entries()
    assert {name: found.tags[name] for name in ("state", "due")} == {"state": "running", "due": "tomorrow"}
    tracking.close(work)
