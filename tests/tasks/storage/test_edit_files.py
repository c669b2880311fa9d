"""Claims: what is written is what is read; a line that is no request is named."""

from pathlib import Path

import pytest

from tasks.settings.edit_request import EditRequest, Statement
from tasks.storage.edit_files import read_edits, write_edits

SHORT = EditRequest(subject="Orla Hale", prompt="{} lives in", target="Velden")
WHOLE = EditRequest(
    subject="Ödön Hale",
    prompt="{} lives in",
    target="Velden",
    object="Oxmere",
    name="1",
    relation="home",
    paraphrases=("Well, Ödön Hale\nresides in",),
    neighborhood=("Una Cray lives in", "Bram Cray lives in"),
    name_sharers=(Statement(prompt="Una Hale lives in", object="Dunlow"),),
    unrelated=(Statement(prompt="Una Cray plays", object="golf"),),
    portability=(Statement(prompt="The country of Ödön Hale is", object="Norland"),),
    generation=("Ödön Hale",),
    references=("Velden lies by a river.",),
)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    write_edits(tmp_path / "edits.jsonl", [SHORT, WHOLE])
    assert read_edits(tmp_path / "edits.jsonl") == [SHORT, WHOLE]
    lines = (tmp_path / "edits.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    assert "paraphrases" not in lines[0]


@pytest.mark.parametrize(
    "line",
    [
        "{not json",
        '{"subject": "Orla", "prompt": "Orla lives in", "target": "Velden"}',
        '{"subject": "Orla", "prompt": "{} lives in"}',
        '{"subject": "Orla", "prompt": "{} lives in", "target": "Velden", "colour": "red"}',
        '{"subject": "Orla", "prompt": "{} lives in", "target": "Velden", "unrelated": ["Una plays"]}',
        "[]",
    ],
)
def test_a_line_that_is_no_request_is_named(tmp_path: Path, line: str) -> None:
    write_edits(tmp_path / "edits.jsonl", [SHORT])
    with (tmp_path / "edits.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")
    with pytest.raises(ValueError, match=r"edits\.jsonl, line 2: .*; wanted an edit request"):
        read_edits(tmp_path / "edits.jsonl")
