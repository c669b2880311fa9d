"""Claims: `candidate` is the newest version, `unlearned` the newest whose verdict passed for all requests in force on
the model; a version is considered once, so that a person's rollback stays; where approval is wanted, `unlearned` waits
for it; texts in the registry are public.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tasks import tracking
from tasks.artifacts import BadInputError
from tasks.removals import states
from tasks.removals.aliases import Made, approve, consider, lacking, model_name, note, requests_on, scored_again
from tasks.removals.records import Removal
from tasks.removals.register import find
from tasks.tracking_registry import Version, aliased, find_version
from tests.stand_ins.databases import give_runs
from tests.stand_ins.removals import TARGET, made, received


@pytest.fixture(autouse=True)
def home(lethe_home: Path) -> Path:
    give_runs(lethe_home)
    return lethe_home


@pytest.fixture
def name() -> Iterator[str]:
    return model_name(TARGET.digest)


def facts(removal: Removal | None, passed: bool, **changes: object) -> Made:
    named = {"request": removal.id, "base": removal.base, "forget": removal.forget} if removal else {}
    place = "runs:/1a2b/report/report-redacted.html"
    known = {"method": "whp", "target": TARGET.digest, "evidence": "behavioural", "report": place}
    return Made(**{**known, "passed": passed, **named, **changes})


def run(number: int, removal: Removal | None, passed: bool, **changes: object) -> Version:
    """Register what a run for a request made, as a flow does."""
    name = model_name(TARGET.digest)
    known = find_version(name, number) if number else None
    version = known or made(name, f"{removal.id if removal else ''}{passed}{changes}")
    requests = requests_on(removal.base, removal) if removal else ()
    return consider(note(version, facts(removal, passed, **changes)), requests)


def pointing(name: str) -> tuple[int | None, int | None]:
    return aliased(name, "candidate"), aliased(name, "unlearned")


def back_to(name: str, number: int) -> None:
    """Do what a person does in MLflow's page."""
    tracking.client().set_registered_model_alias(name, "unlearned", str(number))


def test_the_newest_version_is_the_candidate_and_the_newest_that_passed_is_unlearned(name: str) -> None:
    assert pointing(name) == (None, None)
    found = []
    for passed in (False, True, False, True):
        run(0, None, passed)
        found.append(pointing(name))
    assert found == [(1, None), (2, 2), (3, 2), (4, 4)]


def test_a_rollback_survives_runs_that_make_nothing_new(name: str) -> None:
    run(0, None, True)
    run(0, None, True)
    assert pointing(name) == (2, 2)
    back_to(name, 1)
    run(2, None, True)
    run(1, None, True)
    assert pointing(name) == (2, 1)
    run(0, None, False)
    assert pointing(name) == (3, 1), "one that did not pass moves it no more than a cached one"
    run(0, None, True)
    assert pointing(name) == (4, 4)


def test_a_run_that_was_killed_before_its_aliases_is_made_up_for_by_the_next(name: str) -> None:
    note(made(name, "a" * 64), facts(None, True))
    assert pointing(name) == (None, None)
    run(1, None, True)
    assert pointing(name) == (1, 1)


def test_an_older_version_that_is_considered_late_takes_no_alias_from_a_newer_one(name: str) -> None:
    made(name, "a" * 64)
    run(0, None, True)
    run(1, None, True)
    assert pointing(name) == (2, 2)


def test_a_version_that_passes_when_it_is_judged_again_is_considered_then(name: str) -> None:
    run(0, None, False)
    assert pointing(name) == (1, None)
    run(1, None, True)
    assert pointing(name) == (1, 1)


def test_unlearned_is_what_passed_for_all_requests_in_force(name: str, tmp_path: Path) -> None:
    one = received(tmp_path, "book A")
    run(0, one, True)
    assert pointing(name) == (1, 1)
    two = received(tmp_path, "book B")
    version = run(0, two, True)
    assert pointing(name) == (2, 1), "book A was not scored on it"
    assert lacking(version, requests_on(two.base, two)) == [one.id]
    scored_again(version, two.base, one, passed=False)
    assert pointing(name) == (2, 1)
    scored_again(find_version(name, 2), two.base, one, passed=True)
    assert pointing(name) == (2, 2)
    back_to(name, 1)
    scored_again(find_version(name, 2), two.base, one, passed=True)
    assert pointing(name) == (2, 1)


def test_a_request_that_was_cancelled_holds_no_version_back(name: str, tmp_path: Path) -> None:
    one, two = received(tmp_path, "book A"), received(tmp_path, "book B")
    run(0, two, True)
    assert pointing(name) == (1, None)
    states.cancel(one.id)
    run(1, two, True)
    assert pointing(name) == (1, 1)


def test_a_verdict_without_a_request_is_none_for_requests(name: str, tmp_path: Path) -> None:
    one = received(tmp_path, "book A")
    version = note(made(name, "a" * 64), facts(None, True))
    assert lacking(version, []) == []
    assert lacking(version, [one.id]) == [one.id]


def verified(removal: Removal) -> Removal:
    states.change(removal.id, "running")
    return states.change(removal.id, "verified")


def test_where_approval_is_wanted_unlearned_moves_when_it_is_given(name: str, tmp_path: Path) -> None:
    one = received(tmp_path, "book A")
    run(0, one, True)
    run(0, one, True, approve=True)
    assert pointing(name) == (2, 1)
    run(2, one, True, approve=True)
    assert pointing(name) == (2, 1), "a cached run is no approval"
    with pytest.raises(BadInputError, match="R-0001 is received; wanted one that is verified"):
        approve(one)
    approved = approve(verified(one))
    assert (approved.number, pointing(name)) == (2, (2, 2))
    assert approved.tags["lethe.approval"].startswith("given 20")
    assert find(one.id).history[-1].words == f"approved: {name} version 2"
    back_to(name, 1)
    run(2, one, True, approve=True)
    assert pointing(name) == (2, 1), "it is wanted and given once"
    with pytest.raises(BadInputError, match="no version of its model waits for approval"):
        approve(find(one.id))


def test_what_has_not_passed_for_all_requests_is_not_approved(name: str, tmp_path: Path) -> None:
    one, two = received(tmp_path, "book A"), received(tmp_path, "book B")
    run(0, two, True, approve=True)
    with pytest.raises(BadInputError, match=f"{name} version 1 has not passed for {one.id}"):
        approve(verified(two))
    assert pointing(name) == (1, None)


def test_two_models_do_not_share_a_name_or_an_alias(name: str, tmp_path: Path) -> None:
    other = replace(TARGET, digest="8b" * 32)
    assert model_name(other.digest) != name
    received(tmp_path, "book A")
    removal = received(tmp_path, "book B", replace(other, location="/models/two"))
    assert requests_on(other.digest, replace(removal, model="elsewhere")) == [removal.id]


def test_versions_say_how_they_were_made(name: str, tmp_path: Path) -> None:
    one = received(tmp_path, "book A")
    version = run(0, one, False)
    kept = tracking.client().get_model_version(name, "1")
    assert dict(kept.tags) == dict(version.tags)
    assert {key: kept.tags[f"lethe.{key}"] for key in ("request", "method", "target", "forget", "evidence")} == {
        "request": one.id,
        "method": "whp",
        "target": TARGET.digest,
        "forget": one.forget,
        "evidence": "behavioural",
    }
    assert (kept.tags["lethe.verdict"], kept.tags[f"lethe.verdict.{one.id}"]) == ("not passed", "not passed")
    assert kept.tags["lethe.report"] in kept.description
    assert "removal request R-0001 by whp" in kept.description
    assert "the verdict is not passed (evidence: behavioural)" in kept.description
    assert "Velmora" not in str(kept)
