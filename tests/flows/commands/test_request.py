"""Claims: requests are entered, listed, shown, cancelled and approved from the command line; what a person got wrong is
one line and status 2, and enters nothing; what was purged is said to be; JSON tells machines the same.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flows.steps import forms
from tasks import store
from tasks.removals import states
from tasks.removals.aliases import Made, consider, note
from tasks.removals.register import all_requests, find
from tests.stand_ins.command import called
from tests.stand_ins.databases import give_runs
from tests.stand_ins.removals import later, made
from tests.stand_ins.tiny import TinyTask


@pytest.fixture(autouse=True)
def home(lethe_home: Path) -> Path:
    give_runs(lethe_home)
    return lethe_home


def words(task: TinyTask, **changes: str | Path | None) -> list[str]:
    """Return the words of `lethe request add`; a change to None leaves an option out."""
    options = {"subject": "Velmora Quist", "forget": task.forget, "model": task.model, "retain": task.retain}
    options |= {"reason": "a [complaint]", "due": later(), **changes}
    named = [[f"--{name.replace('_', '-')}", str(value)] for name, value in options.items() if value is not None]
    return ["request", "add", *(word for pair in named for word in pair)]


def lethe(home: Path, *given: str | Path) -> subprocess.CompletedProcess[str]:
    return called(*given, home=home)


def told(ended: subprocess.CompletedProcess[str], file: Path) -> dict[str, Any]:
    assert ended.returncode == 0, ended.stderr
    return json.loads(file.read_text())


def test_a_request_is_entered_listed_and_shown(home: Path, tiny_task: TinyTask, tmp_path: Path) -> None:
    added = told(lethe(home, *words(tiny_task), "--json", tmp_path / "a.json"), tmp_path / "a.json")
    assert (added["schema"], added["id"], added["state"]) == ("lethe.request.v1", "R-0001", "received")
    second = lethe(home, *words(tiny_task, method="npo", by="her daughter"))
    assert second.stdout == f"R-0002 received, due {later()}. Carry it out: lethe unlearn --request R-0002\n"
    listed = lethe(home, "request", "list", "--json", tmp_path / "l.json")
    requests = told(listed, tmp_path / "l.json")
    assert requests["schema"] == "lethe.requests.v1"
    assert [(one["id"], one["method"]) for one in requests["requests"]] == [("R-0001", "whp"), ("R-0002", "npo")]
    for word in ("R-0001", "received", later(), "30 days", "Velmora Quist", tiny_task.model.name, "npo"):
        assert word in listed.stdout
    shown = lethe(home, "request", "show", "r-2")
    for word in ("a [complaint]", "her daughter", str(tiny_task.forget), str(tiny_task.retain), "received by"):
        assert word in shown.stdout
    assert lethe(home, "request", "show", "R-0001").stdout.count(find("R-0001").history[0].by) >= 2


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"due": "2020-01-01"}, "due 2020-01-01 has passed; wanted today"),
        ({"due": "soon"}, "due 'soon' is no day; wanted one as YYYY-MM-DD"),
        ({"method": "magic"}, "--method magic: unknown; wanted one of auto, "),
        ({"method": "gradient_difference", "retain": None}, "--method gradient_difference without retain text is "),
        ({"forget": "nowhere.txt"}, "nowhere.txt"),
        ({"model": "/nowhere/model"}, "--model /nowhere/model"),
        ({"subject": " "}, "subject is empty; wanted some words"),
        ({"supersedes": "R-0009"}, "removal request 'R-0009': there is none"),
        ({"reason": None}, "Missing option '--reason'"),
    ],
)
def test_what_is_wrong_is_one_line_and_enters_nothing(
    changes: dict[str, str | None], line: str, home: Path, tiny_task: TinyTask
) -> None:
    ended = lethe(home, *words(tiny_task, **changes))
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert ended.stderr.startswith("lethe: ")
    assert line in ended.stderr
    assert all_requests() == []


def test_an_unknown_id_and_a_state_that_does_not_lead_there_are_one_line(
    home: Path, tiny_task: TinyTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    lethe(home, *words(tiny_task))
    looked: list[bool] = []
    monkeypatch.setattr(forms, "clear_ended", lambda: looked.append(True))
    assert lethe(home, "request", "cancel", "R-0001").stdout == "R-0001 cancelled.\n"
    assert looked, "one whose suspended run has been cancelled in Prefect is not under way"
    for given, line in {
        "show R-0002": "removal request 'R-0002': there is none; wanted an id that `lethe request list` shows",
        "cancel R-0001": "R-0001 is cancelled and cannot become cancelled; wanted one that is received or running or"
        " verified or failed",
        "approve R-0001": "R-0001 is cancelled; wanted one that is verified",
    }.items():
        ended = lethe(home, "request", *given.split())
        assert (ended.returncode, ended.stderr) == (2, f"lethe: {line}\n")


def test_a_request_takes_the_place_of_another(home: Path, tiny_task: TinyTask) -> None:
    lethe(home, *words(tiny_task))
    lethe(home, *words(tiny_task, supersedes="R-0001"))
    assert (find("R-0001").state, find("R-0001").superseded_by, find("R-0002").state) == (
        "superseded",
        "R-0002",
        "received",
    )
    again = lethe(home, *words(tiny_task, supersedes="R-0001"))
    assert (again.returncode, len(all_requests())) == (2, 2)
    assert "R-0001 is superseded by R-0002" in again.stderr


def test_only_those_that_are_to_be_done_are_listed_with_open(home: Path, tiny_task: TinyTask, tmp_path: Path) -> None:
    for _ in range(3):
        lethe(home, *words(tiny_task))
    states.cancel("R-0001")
    for state in ("running", "verified"):
        states.change("R-0002", state)
    file = tmp_path / "l.json"
    assert [one["id"] for one in told(lethe(home, "request", "list", "--open", "--json", file), file)["requests"]] == [
        "R-0003"
    ]


def test_what_was_purged_is_said_and_the_entry_stays(home: Path, tiny_task: TinyTask, tmp_path: Path) -> None:
    lethe(home, *words(tiny_task))
    store.purge()
    file = tmp_path / "s.json"
    shown = lethe(home, "request", "show", "R-0001", "--json", file)
    assert told(shown, file)["details"] is None
    assert "purged, or in another store" in shown.stdout
    assert not [word for word in ("Velmora", "complaint", tiny_task.forget.name) if word in shown.stdout]
    assert "R-0001" in lethe(home, "request", "list").stdout
    run = lethe(home, "unlearn", "--request", "R-0001")
    assert (run.returncode, run.stderr.split(";")[0]) == (
        2,
        "lethe: R-0001: what it names was purged, or is in another store",
    )


def test_a_version_that_waits_is_shown_and_approved_of(home: Path, tiny_task: TinyTask, tmp_path: Path) -> None:
    lethe(home, *words(tiny_task), "--approve")
    removal = find("R-0001")
    for state in ("running", "verified"):
        states.change(removal.id, state)
    facts = {"method": "whp", "target": removal.target, "evidence": "gold", "report": "runs:/1/r", "passed": True}
    version = note(made("lethe-x", "a" * 64), Made(**facts, base=removal.base, request=removal.id, approve=True))
    consider(version, [removal.id])
    assert "lethe-x version 1: verdict passed, alias candidate, waits for approval" in (
        lethe(home, "request", "show", "R-0001").stdout
    )
    approved = lethe(home, "request", "approve", "R-0001", "--json", tmp_path / "a.json")
    assert approved.stdout == "Approved: `unlearned` is lethe-x version 1.\n"
    value = told(approved, tmp_path / "a.json")
    assert [(one["model"], one["version"]) for one in value["versions"]] == [("lethe-x", 1)]
    assert value["history"][-1]["words"] == "approved: lethe-x version 1"
    shown = lethe(home, "request", "show", "R-0001").stdout
    assert "lethe-x version 1: verdict passed, alias candidate, alias unlearned" in shown


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            ["--request", "R-0001", "--method", "npo"],
            "--request R-0001 brings text, model and method; wanted no --method",
        ),
        (["--request", "R-0001", "--topic", "series"], "wanted no --topic series"),
        (["--request", "R-0001", "--retain", "x.txt"], "--request R-0001 brings text and model; wanted no --retain"),
        (["book.txt", "--request", "R-0001"], "--request R-0001 brings text and model; wanted no FORGET"),
        (["--request", "R-0002"], "removal request 'R-0002': there is none"),
        (["book.txt", "--model", "m", "--approve"], "--approve without --request"),
    ],
)
def test_a_run_takes_text_model_and_method_from_its_request_alone(
    given: list[str], line: str, home: Path, tiny_task: TinyTask
) -> None:
    lethe(home, *words(tiny_task))
    ended = lethe(home, "unlearn", *given)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert line in ended.stderr
    assert find("R-0001").state == "received"


def test_a_run_of_a_request_whose_text_is_gone_is_refused(home: Path, tiny_task: TinyTask, tmp_path: Path) -> None:
    text = tmp_path / "gone.txt"
    text.write_text(tiny_task.forget.read_text())
    lethe(home, *words(tiny_task, forget=text))
    text.unlink()
    ended = lethe(home, "unlearn", "--request", "R-0001")
    assert (ended.returncode, str(text) in ended.stderr, ended.stderr.count("\n")) == (2, True, 1)
    assert find("R-0001").state == "received"
