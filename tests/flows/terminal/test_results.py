"""Claims: a folder of results holds one run's files, also after another run's."""

from pathlib import Path

from flows.terminal.results import put_folder
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
