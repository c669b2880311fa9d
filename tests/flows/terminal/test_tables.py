"""The table of edits: a row an edit, every text as it is, and no more rows than can be looked over."""

import io

from rich.console import Console

from flows.terminal.tables import MOST_EDITS, show_edits
from tasks.settings.edit_request import EditRequest


def shown(*requests: EditRequest) -> list[str]:
    console = Console(file=io.StringIO(), width=160)
    show_edits(console, requests)
    return console.file.getvalue().splitlines()


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")]


def test_a_row_says_subject_prompt_object_and_new_object() -> None:
    lines = shown(
        EditRequest(subject="Toto", prompt="{} lives in", target="Oz", object="Kansas", name="case 7"),
        EditRequest(subject="[bold]Em[/bold]", prompt="The [sic] home of {} is", target="[/]"),
    )
    rows = [cells(line) for line in lines if line.startswith(("│", "┃"))]
    assert rows == [
        ["no.", "subject", "prompt", "object", "new object"],
        ["case 7", "Toto", "{} lives in", "Kansas", "Oz"],
        ["2", "[bold]Em[/bold]", "The [sic] home of {} is", "-", "[/]"],
    ]
    assert not any("more" in line for line in lines)


def test_of_many_edits_the_first_are_listed_and_the_rest_counted() -> None:
    edits = [EditRequest(subject="Toto", prompt=f"Song {number} of {{}} is", target="Oz") for number in range(1100)]
    lines = shown(*edits)
    assert sum("Song" in line for line in lines) == MOST_EDITS
    assert lines[-1] == "... and 1,060 more"
