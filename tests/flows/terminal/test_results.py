"""Claims: a folder of results holds one run's files, also after another run's."""

from pathlib import Path

from flows.terminal.results import OF_ONE_RUN, put_folder, remove_others
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
