"""Claims: a folder of results holds one run's files, also after another run's; what a run needs is said beside what is
there, and where that is too little; a table leaves out no column.
"""

import io
from pathlib import Path

from rich.console import Console

from flows.terminal.results import OF_ONE_RUN, _table, put_folder, remove_others, show_needs, told_needs
from flows.weight_sweep import FIGURES, TOXICITY
from tasks import store


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    first, second, place = tmp_path / "first", tmp_path / "second", tmp_path / "out" / "model"
    place.parent.mkdir()
    for folder, names in ((first, ("config.json", "guardrail.json")), (second, ("config.json", "model.safetensors"))):
        folder.mkdir()
        for name in (*names, store.MANIFEST):
            (folder / name).write_text(folder.name)
    put_folder(first, place)
    put_folder(second, place)
    assert {path.name: path.read_text() for path in place.iterdir()} == {
        "config.json": "second",
        "model.safetensors": "second",
    }
    assert [path.name for path in place.parent.iterdir()] == ["model"]


def test_what_another_run_left_beside_is_removed_and_what_people_edit_stays(tmp_path: Path) -> None:
    theirs = {"anchors.csv", "anchors.json", "notes.txt", "best.yaml"}
    for name in (*OF_ONE_RUN, *theirs):
        (tmp_path / name).write_text("")
    remove_others(tmp_path, ["scorecard.json", "edits.json", "report.html"])
    assert {path.name for path in tmp_path.iterdir()} == {"scorecard.json", "edits.json", *theirs}


def test_what_is_needed_is_shown_and_told_beside_what_is_there() -> None:
    needs, shown = {"memory": (2.0, 1.5), "disk": (0.125, 40.0)}, io.StringIO()
    show_needs(Console(file=shown, width=120), needs)
    assert shown.getvalue().splitlines() == [
        "memory: about 2.00 GB needed, 1.5 GB there - not enough",
        "disk: about 0.12 GB needed, 40.0 GB there",
    ]
    assert told_needs(needs)["memory"] == {"needed_gb": 2.0, "there_gb": 1.5}


def test_no_column_of_weights_goes_for_long_figures() -> None:
    long = dict.fromkeys((*FIGURES[:-1], *TOXICITY), -1.2345e-08)
    run = {"run": "alpha 0.25, beta 0.75, driven on to 100 epochs", "healthy": True, **long}
    value = {"baseline": {"healthy": None}, "runs": [run], "toxicity": [{"model": run["run"], **long}]}
    shown = io.StringIO()
    Console(file=shown, width=120).print(_table(value))
    assert [
        word for word in ("model", "alpha 0.25", "driven on", "healthy", "yes") if word not in shown.getvalue()
    ] == []
