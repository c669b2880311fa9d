"""Claims: what was answered before and after stands a row a query, with what the edit changes once."""

from rich.console import Console

from flows.terminal.editing import answers_table


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
