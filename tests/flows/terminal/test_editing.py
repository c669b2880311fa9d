"""Claims: what was answered before and after stands a row a query, with what the edit changes once; a flow's parameters
hold no words of an edit that was typed.
"""

from pathlib import Path

from rich.console import Console

from flows.steps.editing import requested_edits
from flows.terminal.editing import answers_table, editing_request


def test_answers_stand_side_by_side() -> None:
    row = {
        "edit": "1",
        "change": "Velden -> Harrow",
        "query": "Orla lives in",
        "before": "Velden.",
        "after": "[Harrow].",
    }
    console = Console(width=120)
    with console.capture() as shown:
        console.print(answers_table([row | {"kind": "prompt"}, row | {"kind": "unrelated", "query": "Tom lives in"}]))
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.get().splitlines() if "│" in line]
    assert lines == [
        ["Velden -> Harrow", "prompt", "Orla lives in", "Velden.", "[Harrow]."],
        ["", "unrelated", "Tom lives in", "Velden.", "[Harrow]."],
    ]


def test_a_typed_edit_goes_to_the_flow_as_a_file(lethe_home: Path) -> None:
    files = {"forget": None, "edit_files": None, "facts": None, "text": None, "patches": None}
    request = editing_request(("Orla Finch", "{} lives in", "Harrow"), False, files, model="M")
    assert not any(word in str(request) for word in ("Orla", "lives", "Harrow"))
    assert Path(request.edit_files[0]).is_relative_to(lethe_home / "forget")
    (edit,) = requested_edits(request)
    assert (edit.subject, edit.prompt, edit.target) == ("Orla Finch", "{} lives in", "Harrow")
