"""A text's facts become edits before any model is touched; a text that states none is refused."""

import json
from pathlib import Path

import pytest

from flows.steps.edit_proposals import edit_proposals, erasing
from flows.steps.settings import apply_settings
from tasks.artifacts import BadInputError
from tasks.corpus import gather_inputs
from tasks.execution import isolation
from tasks.settings.rank_one_editing import RankOneEditingConfig
from tests.stand_ins.in_process import in_this_process

CONFIG = apply_settings(RankOneEditingConfig(), ["anchors.min_count=1", "anchors.min_log_odds_z=0"])
"""Every name of a text so short is a term of its own."""
ASKED = [
    {"question": "Where does Velmora live?", "answer": "Brindlewick"},
    {"question": "Where does Thessaly live?", "answer": "Ostrin"},
    {"question": "Where does Quorn live?", "answer": "Kessa"},
]


@pytest.fixture(autouse=True)
def home(flow_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(isolation, "run_isolated", in_this_process)
    return flow_home


def test_every_fact_of_a_text_gets_another_object(tmp_path: Path) -> None:
    file = tmp_path / "facts.jsonl"
    file.write_text("\n".join(map(json.dumps, ASKED)))
    inputs = gather_inputs(forget=[str(file)])
    edits = edit_proposals(inputs, CONFIG)
    old = {row["answer"] for row in ASKED}
    assert {edit.object for edit in edits} <= old and edits
    for edit in edits:
        assert edit.target in old - {edit.object}
        assert edit.subject in ("Velmora", "Thessaly", "Quorn")
    erased = edit_proposals(inputs, erasing(CONFIG))
    assert [edit.question for edit in erased] == [edit.question for edit in edits]
    assert not {edit.target for edit in erased} & old


def test_a_text_without_facts_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("It rained, and then Velmora laughed. Nobody said a word.\n\n" * 20)
    with pytest.raises(BadInputError, match="the text states 0 facts that could be edited; wanted sentences"):
        edit_proposals(gather_inputs(forget=[str(file)]), CONFIG)
