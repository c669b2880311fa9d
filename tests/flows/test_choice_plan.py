"""Claims: `--dry-run` says of every candidate what would become of it, looks its stages up, and trains nothing."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from rich.console import Console

from flows.choice_plan import plan_choice
from flows.methods import AUTOMATIC
from flows.plan import Plan
from flows.steps.settings import apply_settings
from flows.terminal.results import show_plan
from tasks import store
from tasks.storage.plain_files import read_json
from tests.stand_ins.tiny import SETTINGS, TinyTask

CANDIDATES = ("rome", "whp", "npo", "simnpo", "scrub", "guardrail")


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory, tiny_task: TinyTask, prefect_server: None) -> Iterator[Plan]:
    home = tmp_path_factory.mktemp("choice") / "lethe"
    shared = [setting for setting in SETTINGS if setting.split(".")[0] in ("anchors", "probing", "relearning")]
    config = replace(apply_settings(AUTOMATIC["auto"].preset("default", 0), shared), candidates=CANDIDATES)
    with pytest.MonkeyPatch.context() as patch, temporary_settings({PREFECT_LOCAL_STORAGE_PATH: str(home / "results")}):
        patch.setenv("LETHE_HOME", str(home))
        patch.setattr(store, "_checked", set())
        yield plan_choice(tiny_task.request(), config)


def test_every_candidate_is_told_with_what_would_become_of_it(planned: Plan) -> None:
    part = "trained to 0.25 of its steps, and further if it keeps up; 0 of"
    assert planned.candidates == {
        "rome": "made at once; 0 of 5 stages cached",
        "whp": "trained whole; 0 of 5 stages cached",
        "npo": f"{part} 2 stages cached",
        "simnpo": f"{part} 2 stages cached",
        "scrub": f"{part} 3 stages cached",
        "guardrail": "left out: it changes no weights; --set guardrail=true allows it",
    }
    assert {str(key) for key in planned.stages} == {"corpus", "halves choosing", "anchors", "translation", "facts"}
    assert planned.facts.recommended == "editing", "else rome would be left out"


def test_it_is_printed_and_written(planned: Plan, tmp_path: Path) -> None:
    console, file = Console(record=True, width=200), tmp_path / "plan.json"
    show_plan(console, planned, None, str(file))
    assert "candidate whp: trained whole; 0 of 5 stages cached" in console.export_text()
    assert read_json(file)["candidates"] == planned.candidates
