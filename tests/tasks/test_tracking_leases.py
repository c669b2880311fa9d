"""Claims: a lease counts until it has expired by more than clocks may differ; a holder that the store knows is held, or
dead at once, whatever its lease says; it is renewed while its process lives, also after MLflow was away, and nobody
waits for that; a released one is not.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks import tracking, tracking_leases
from tasks.execution import upkeep
from tasks.tracking_leases import LEASE, LEASE_S, SKEW_S, UNLEASED_S, has_lease, is_held
from tests.stand_ins.databases import give_runs
from tests.stand_ins.waiting import wait_for

STRANGER = "f" * 32
HOLDER = (
    "import time; from tasks import tracking_leases; print(tracking_leases.new_lease(), flush=True); time.sleep(99)"
)


@pytest.fixture
def home(lethe_home: Path) -> Iterator[Path]:
    give_runs(lethe_home)
    tracking_leases.holder.cache_clear()  # its lock lies in the store that it was first asked in
    yield lethe_home
    tracking_leases.holder.cache_clear()


def lease_of(run: str) -> str:
    return tracking.client().get_run(run).data.tags[LEASE]


@pytest.mark.parametrize(("late_s", "held"), [(-1, True), (0, True), (SKEW_S - 1, True), (SKEW_S + 1, False)])
def test_a_lease_counts_until_it_has_expired_by_more_than_clocks_differ(
    lethe_home: Path, late_s: float, held: bool
) -> None:
    assert is_held({LEASE: f"5000 {STRANGER}"}, 0.0, now=5000 + late_s) is held


@pytest.mark.parametrize("tags", [{}, {LEASE: "soon"}, {LEASE: ""}, {LEASE: "-1 ../x"}], ids=str)
def test_a_run_of_an_earlier_version_or_with_a_damaged_lease_counts_for_a_day(
    lethe_home: Path, tags: dict[str, str]
) -> None:
    assert is_held(tags, 1000.0, now=1000 + UNLEASED_S + SKEW_S - 1)
    assert not is_held(tags, 1000.0, now=1000 + UNLEASED_S + SKEW_S + 1)


def test_a_stages_run_has_no_lease_of_its_own_and_a_trials_has() -> None:
    assert has_lease({})
    assert not has_lease({"mlflow.parentRunId": "a"})
    assert has_lease({"mlflow.parentRunId": "a", LEASE: "1 b"})


def test_a_holder_of_this_store_is_held_whatever_its_lease_says_and_dead_as_soon_as_it_is_killed(home: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True) as process:
        try:
            until, holder = process.stdout.readline().split(maxsplit=1)
            holder = holder.strip()
            assert is_held({LEASE: f"1 {holder}"}, 0.0)
        finally:
            process.kill()
        process.wait(30)
        assert not is_held({LEASE: f"{until} {holder}"}, time.time())
    for elsewhere in (STRANGER, f"{holder.split()[0]} 1"):  # another store's, or a copy's
        assert is_held({LEASE: f"{until} {elsewhere}"}, time.time())


def test_a_lease_is_renewed_also_after_the_server_was_away_until_it_is_released(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_leases, "RENEWED_S", 0.02)
    asked, real = [], tracking_leases.client_of

    def away_at_first(uri: str) -> object:
        asked.append(uri)
        if len(asked) < 3:
            raise OSError("away")
        return real(uri)

    monkeypatch.setattr(tracking_leases, "client_of", away_at_first)
    run = tracking.open_run("a run", {}, {LEASE: f"1 {STRANGER}"})
    ended = tracking_leases._held[run]
    wait_for(lambda: lease_of(run) != f"1 {STRANGER}", "the renewal")
    until, holder, _ = lease_of(run).split()
    assert abs(float(until) - time.time() - LEASE_S) < 60
    assert upkeep.held(f"holder-{holder}")
    tracking.close(run)
    assert ended.is_set()


def test_nobody_waits_for_a_renewal(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking_leases, "RENEWED_S", 0.0)
    asked, answer = threading.Event(), threading.Event()

    def hangs(uri: str) -> None:
        asked.set()
        answer.wait(30)
        raise OSError("away")

    monkeypatch.setattr(tracking_leases, "client_of", hangs)
    tracking_leases.hold("a")
    assert asked.wait(10)
    before = time.monotonic()
    tracking_leases.release("a")
    assert time.monotonic() - before < 1
    answer.set()
