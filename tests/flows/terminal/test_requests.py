"""Claims: the register is a row a request; a day that has passed is said to be overdue, where something is left to do;
words of the user's are no markup; what a command is given beside a request is what that one has not.
"""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from flows.terminal import requests
from flows.terminal.requests import as_asked, requests_table
from tasks.removals.records import Change, Removal, State, today
from tasks.settings.removal_requests import RemovalRequest
from tasks.settings.unlearning_request import UnlearningRequest

TEXT = UnlearningRequest(forget=("/a.txt",), model="/models/one", anchors="/own.csv")
ASKED = RemovalRequest(subject="Velmora [bold]", reason="a law", due="2026-12-31", text=TEXT)


def removal(state: State, days: int) -> Removal:
    digests = {"target": "a" * 64, "base": "a" * 64, "model": "b" * 64, "forget": "c" * 64, "details": "d" * 64}
    history = (Change(state=state, at="2026-01-01T00:00:00+00:00", by="ops"),)
    due = today() + timedelta(days=days)
    return Removal(id="R-0001", entry="e", history=history, due=due, method="npo", approve=False, **digests)


def shown(*removals: Removal) -> str:
    console = Console(record=True, width=140, quiet=True)
    with console.capture() as said:
        console.quiet = False
        console.print(requests_table(removals))
    return said.get()


@pytest.mark.parametrize(
    ("state", "days", "words"),
    [
        ("received", -1, "(overdue)"),
        ("failed", -2, "(overdue)"),
        ("received", 0, "(0 days)"),
        ("running", 1, "(1 day)"),
        ("received", 30, "(30 days)"),
        ("verified", -1, ""),
        ("cancelled", 5, ""),
    ],
)
def test_how_much_time_is_left(state: State, days: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "_known", lambda removal: ASKED)
    said = shown(removal(state, days))
    assert f"{today() + timedelta(days=days)}{' ' if words else ''}{words}" in said
    assert ("overdue" in said, "day" in said) == ("overdue" in words, "day" in words)
    for word in ("R-0001", state, "Velmora [bold]", "one", "npo"):
        assert word in said


def test_what_was_purged_leaves_the_digest_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "_known", lambda removal: None)
    assert "a" * 16 in shown(removal("received", 1))


def test_a_run_has_beside_its_request_what_that_one_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "find", lambda name: removal("received", 1))
    beside = UnlearningRequest(forget=(), prompts=("p.json",), benchmark_data="data")
    assert as_asked(beside, "r-1", ASKED) == replace(TEXT, prompts=("p.json",), benchmark_data="data", removal="R-0001")
    assert as_asked(
        UnlearningRequest(forget=(), anchors="n.csv"), "r-1", replace(ASKED, text=replace(TEXT, anchors=None))
    )
    for given, option in {
        UnlearningRequest(forget=("b.txt",)): "FORGET",
        UnlearningRequest(forget=(), model="m"): "--model",
        UnlearningRequest(forget=(), forget_test=("t.txt",)): "--forget-test",
        UnlearningRequest(forget=(), anchors="n.csv"): "--anchors",
    }.items():
        with pytest.raises(ValueError, match=f"--request r-1 brings text and model; wanted no {option}"):
            as_asked(given, "r-1", ASKED)


def test_paths_are_shown_as_they_are() -> None:
    assert requests._model(ASKED) == Path(TEXT.model).name
    assert requests._model(replace(ASKED, text=replace(TEXT, model="org/name"))) == "org/name"
