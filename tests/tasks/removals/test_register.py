"""Claims: ids are counted and never shared, by processes that enter at once or stores that share a server, and never
used again; MLflow holds nothing that says whom a request is about; what is kept of it purges with the store, and the
entry stays; text that has changed and days that have passed are refused; requests on one model are found by its weights
or its place.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tasks import store, tracking, tracking_requests
from tasks.artifacts import BadInputError
from tasks.removals import register, states
from tasks.removals.register import all_requests, base_of, find, forget_digest, on_same_model, read_details
from tests.stand_ins.command import ROOT, environment
from tests.stand_ins.databases import give_runs
from tests.stand_ins.removals import REASON, SUBJECT, TARGET, made, received, wanted, written

ENTER = """
import sys
from pathlib import Path
from tests.stand_ins.removals import received
for number in range(3):
    print(received(Path(sys.argv[1]), f"{sys.argv[2]}-{number}").id)
"""


@pytest.fixture(autouse=True)
def home(lethe_home: Path) -> Path:
    give_runs(lethe_home)
    return lethe_home


def at_once(folder: Path, homes: list[Path], **changes: str) -> Iterator[subprocess.Popen[str]]:
    for number, home in enumerate(homes):
        yield subprocess.Popen(
            [sys.executable, "-c", ENTER, str(folder), str(number)],
            cwd=ROOT,
            env=environment(home, new=True, **changes),
            stdout=subprocess.PIPE,
            text=True,
        )


def ids_of(processes: list[subprocess.Popen[str]]) -> list[str]:
    ids = []
    for process in processes:
        with process:
            ids += process.communicate(timeout=1200)[0].split()
            assert process.returncode == 0
    return sorted(ids)


def test_ids_are_counted(tmp_path: Path) -> None:
    first, second = received(tmp_path, "one"), received(tmp_path, "two")
    assert [first.id, second.id] == ["R-0001", "R-0002"]
    assert (first.state, first.due.isoformat() > first.history[0].at[:10]) == ("received", True)
    assert [one.id for one in all_requests()] == ["R-0001", "R-0002"]
    assert [find(name).id for name in ("R-0002", "r-2", "R2", " R-0002 ")] == ["R-0002"] * 4


def test_an_id_is_not_used_again_where_its_entry_was_deleted(tmp_path: Path) -> None:
    tracking.client().delete_run(received(tmp_path, "one").entry)
    assert received(tmp_path, "two").id == "R-0002"
    assert [one.id for one in all_requests()] == ["R-0002"]


def test_processes_that_enter_at_once_share_no_id(tmp_path: Path, home: Path) -> None:
    assert ids_of(list(at_once(tmp_path, [home, home]))) == [f"R-{number:04d}" for number in range(1, 7)]


def test_stores_that_share_a_server_share_no_id(tmp_path: Path) -> None:
    """Two that claim one id see each other, whatever comes between claim and look."""
    claimed = tracking_requests.make_entry("R-0001", {"lethe.request": "R-0001"})
    real, counted = tracking_requests.entries, []

    def late(*given: str, **named: bool) -> list[tracking_requests.Entry]:
        """See nothing the first time: it counts before the other's claim is there."""
        counted.append(given)
        return real(*given, **named) if len(counted) > 1 else []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracking_requests, "entries", late)
        assert received(tmp_path, "one").id == "R-0002"
    assert {entry.tags["lethe.request"] for entry in real() if entry.id != claimed} == {"R-0002"}


@pytest.mark.parametrize("name", ["R-0009", "", "Velmora", "R-1 or 1=1", "R-", "R-99999999999"])
def test_an_unknown_id_is_refused(name: str) -> None:
    with pytest.raises(BadInputError, match=r"there is none; wanted an id that `lethe request list` shows"):
        find(name)


def test_mlflow_holds_nothing_that_says_whom_it_is_about(tmp_path: Path, home: Path) -> None:
    removal = received(tmp_path, "one", asked_by="Velmora's daughter")
    run = tracking.client().get_run(removal.entry)
    said = str([run.info.run_name, run.data, run.inputs])
    assert [
        word for word in (SUBJECT, REASON, "Velmora", str(tmp_path), "one.txt", TARGET.location) if word in said
    ] == []
    plain = store.file_digest(tmp_path / "one.txt")
    assert (plain in said, store.keyed(plain) in said) == (False, True)
    assert run.info.status == "FINISHED"
    assert tracking.client().list_artifacts(removal.entry) == []
    assert removal.forget == store.keyed(plain)


def test_what_is_known_lies_among_forget_artifacts_without_the_text_and_purges_with_them(
    tmp_path: Path, home: Path
) -> None:
    removal = received(tmp_path, "one", asked_by="Velmora's daughter", method="npo")
    known = read_details(removal)
    assert (known.request.subject, known.request.asked_by, known.request.method) == (
        SUBJECT,
        "Velmora's daughter",
        "npo",
    )
    assert known.request.text.forget == (str(tmp_path / "one.txt"),)
    assert known.inputs == {"forget": [store.file_digest(tmp_path / "one.txt")]}
    kept = [file for file in home.rglob("*") if file.is_file() and b"Velmora" in file.read_bytes()]
    assert {file.relative_to(home).parts[:2] for file in kept} == {("forget", "requests")}
    assert not [file for file in kept if "river" in file.read_text()]
    store.purge()
    assert find(removal.id) == removal
    with pytest.raises(BadInputError, match=r"R-0001: what it names was purged, or is in another store"):
        read_details(removal)


def test_the_digest_in_mlflow_tells_nothing_to_whoever_guesses_what_is_asked(tmp_path: Path) -> None:
    assert received(tmp_path, "one").details != received(tmp_path, "one").details


def test_a_day_that_has_passed_is_refused_and_nothing_is_entered(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"due 2020-01-01 has passed; wanted today"):
        received(tmp_path, "one", due="2020-01-01")
    assert all_requests() == []


def test_text_that_has_changed_is_refused(tmp_path: Path) -> None:
    removal = received(tmp_path, "one")
    register.require_unchanged(removal, {"forget": [written(tmp_path, "one")]})
    with pytest.raises(BadInputError, match=r"R-0001: the text to forget is not what it was"):
        register.require_unchanged(removal, {"forget": [written(tmp_path, "other")]})


def test_the_digest_of_several_files_does_not_depend_on_their_order(tmp_path: Path) -> None:
    one, two = written(tmp_path, "one"), written(tmp_path, "two")
    assert forget_digest([one]) == store.keyed(one.digest)
    assert forget_digest([one, two]) == forget_digest([two, one]) != forget_digest([one])


def test_requests_on_one_model_are_found_by_weights_or_place_and_only_those_in_force(tmp_path: Path) -> None:
    first = received(tmp_path, "one")
    moved = wanted(file := written(tmp_path, "two"))
    same_weights = register.add(
        replace(moved, text=replace(moved.text, model="/models/copy")), TARGET, {"forget": [file]}
    )
    new_base = replace(TARGET, digest="8b" * 32)
    same_place = received(tmp_path, "three", new_base)
    other = register.add(
        replace(moved, text=replace(moved.text, model="/models/other")),
        replace(TARGET, digest="9c" * 32),
        {"forget": [file]},
    )
    assert [one.id for one in on_same_model(TARGET.digest)] == [first.id, same_weights.id]
    assert [one.id for one in on_same_model(TARGET.digest, first.model)] == [first.id, same_weights.id, same_place.id]
    assert [one.id for one in on_same_model(other.base, other.model)] == [other.id]
    states.cancel(first.id)
    assert [one.id for one in on_same_model(TARGET.digest)] == [same_weights.id]


def test_a_model_that_an_earlier_request_made_stands_for_its_base(tmp_path: Path) -> None:
    result = replace(TARGET, digest="5d" * 32)
    assert base_of(result) == result.digest
    made("lethe-7a7a7a7a", result.digest, {"lethe.base": TARGET.digest})
    assert base_of(result) == TARGET.digest
    assert received(tmp_path, "two", result).base == TARGET.digest
