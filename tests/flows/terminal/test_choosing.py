"""Claims: a person sees all trials with what each lacks, what was not tried and why, and what was chosen; machines are
told the same, and the page lies where it was asked for.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from flows.automatic import Chosen, Tried
from flows.terminal import choosing
from flows.terminal.choosing import show_choice

TRIALS = (
    Tried(
        candidate="whp",
        share=1.0,
        state="failed",
        left=0.2,
        back=0.45,
        kept=1.02,
        shortfalls=(0.5, -0.3),
        lacking=("robust: familiarity is 0.045, at most 0.03 wanted", "second", "third"),
        seconds=61.4,
        mlflow_run="a" * 32,
    ),
    Tried(candidate="npo", share=0.25, state="broke off", lacking=("no memory",)),
)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> tuple[str, dict]:
    monkeypatch.setattr(choosing, "as_result", lambda compared, out: ({}, {"Page": f"{out}/comparison.html"}))
    chosen = Chosen(
        outcome=SimpleNamespace(),
        candidate="whp",
        trials=TRIALS,
        left_out={"guardrail": "it changes no weights"},
        words="whp: among 2 candidates",
        comparison=SimpleNamespace(),
        mlflow_run="b" * 32,
        flow_run="f",
        flow_run_name="n",
    )
    console = Console(record=True, width=160)
    value = show_choice(console, chosen, "out")
    return console.export_text(), value


def test_a_person_sees_every_trial_and_what_it_lacks(shown: tuple[str, dict]) -> None:
    said = " ".join(shown[0].split())
    for words in (
        "0.200x",
        "0.450x",
        "1.020x",
        "npo, 0.25 of its steps",
        "broke off",
        "1 more",
        "not tried: guardrail: it changes no weights",
        "Chosen: whp: among 2 candidates",
        "Side by side: out/comparison.html",
    ):
        assert words in said


def test_machines_are_told_all_of_it(shown: tuple[str, dict], tmp_path: Path) -> None:
    value = json.loads(json.dumps(shown[1]))
    assert [(one["candidate"], one["share"], one["lacking"][-1]) for one in value["trials"]] == [
        ("whp", 1.0, "third"),
        ("npo", 0.25, "no memory"),
    ]
    assert value["left_out"] == {"guardrail": "it changes no weights"}
    assert (value["chosen"], value["comparison"]) == ("whp", "out/comparison.html")
