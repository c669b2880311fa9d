"""What became of each edit, in files: while a run is under way in its workspace, edit by edit, and afterwards as a
table.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store
from tasks.artifacts import EditPatch, EditRun
from tasks.settings.edit_request import EditRequest
from tasks.storage.plain_files import read_json, write_json

if TYPE_CHECKING:
    from tasks.algorithms.editing.rome import Update
    from tasks.algorithms.editing.session import Edited

TABLE = "edits.json"


def write_step(folder: Path, number: int, edited: "Edited", updates: "Sequence[Update]") -> None:
    """Keep one edit, so that a run that is killed goes on after it; the JSON file is the last, and says that it is
    whole.
    """
    from safetensors.torch import save_file

    tensors = {f"{n}.{name}": getattr(update, name) for n, update in enumerate(updates) for name in ("left", "right")}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / f"{number:05}.safetensors")
    half = folder / f"{number:05}.tmp"
    write_json(half, {"edited": asdict(edited), "layers": [update.layer for update in updates]})
    half.replace(folder / f"{number:05}.json")


def read_step(folder: Path, number: int) -> "tuple[Edited, list[Update]] | None":
    """Read an edit of an earlier try, or None where it did not come so far."""
    from safetensors.torch import load_file

    from tasks.algorithms.editing.rome import Update
    from tasks.algorithms.editing.session import Edited

    if not (folder / f"{number:05}.json").is_file():
        return None
    about = read_json(folder / f"{number:05}.json")
    tensors = load_file(folder / f"{number:05}.safetensors")
    updates = [
        Update(layer=layer, left=tensors[f"{n}.left"], right=tensors[f"{n}.right"])
        for n, layer in enumerate(about["layers"])
    ]
    figures = {name: float("nan") if value is None else value for name, value in about["edited"]["figures"].items()}
    return Edited(**{**about["edited"], "reasons": tuple(about["edited"]["reasons"]), "figures": figures}), updates


def write_table(
    folder: Path, requests: Sequence[EditRequest], edited: "Sequence[Edited]", patch: EditPatch | None
) -> None:
    """Write what became of each request, a row each, and which patch makes those that were made: the folder's digest
    stands for it.
    """
    rows = [
        {
            "name": request.name or str(number),
            "subject": request.subject,
            "prompt": request.prompt,
            "object": request.object or one.said,
            "target": request.target,
            **{name: value for name, value in asdict(one).items() if name != "figures"},
            **one.figures,
        }
        for number, (request, one) in enumerate(zip(requests, edited, strict=True), 1)
    ]
    write_json(folder / TABLE, rows)
    write_json(folder / "patch.json", {"patch": patch.digest if patch else None})


def read_table(run: EditRun) -> list[dict[str, Any]]:
    """Read what became of each request."""
    return read_json(store.path(run) / TABLE)
