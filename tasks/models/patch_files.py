"""The folder of a patch: the updates of one editing run, small beside the model that they belong to.

    patch.safetensors   layer.N.U (hidden, rank) and layer.N.V (inner, rank) of every edited layer, float32:
                        W' = W + U V^T
    patch.json          the base, the patches that it was computed on, layers with ranks and norms, number of edits
    edits.jsonl         what was edited, a request a line

The table says what was to be changed: patches are of class `forget`. A patch is named by the digest of these three
files, so that a folder given back is the patch that the store has, or had.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store
from tasks.artifacts import Artifact, BadInputError, CheckpointRef, EditPatch
from tasks.models.json_files import read_object
from tasks.models.weights import identify
from tasks.settings.edit_request import EditRequest

if TYPE_CHECKING:
    from tasks.algorithms.editing.rome import Update

KIND = "patches"
SCHEMA = "lethe.patch.v1"
TENSORS, ABOUT, EDITS = FILES = ("patch.safetensors", "patch.json", "edits.jsonl")
LEAST_LETTERS = 4
"""Of a digest, to name a patch by."""
SHOWN = 16
"""Letters of a digest in messages."""


def write_patch(
    updates: "Sequence[Update]",
    write_edits: Callable[[Path], None],
    *,
    base: CheckpointRef,
    model_type: str,
    computed_on: tuple[str, ...] = (),
    settings: str = "",
    origin: str | None = None,
) -> EditPatch:
    """Put the updates of an editing run into the store.

    Args:
        updates: In order, those of one layer become one.
        write_edits: Writes the requests as JSON lines to the file that it is given.
        base: The model before any patch; where it is is remembered.
        model_type: What transformers calls its architecture.
        computed_on: Digests of the patches that were on it, in order.
        settings: Digest of the settings.
        origin: The tracked run.

    Raises:
        ValueError: If there are no updates, or one is not finite.
    """
    from safetensors.torch import save_file

    from tasks.algorithms.editing.patches import joined

    own, weights = joined(updates), identify(base)
    if not own:
        raise ValueError("a patch without updates; wanted at least one")

    def write(folder: Path) -> None:
        tensors = {
            f"layer.{update.layer}.{name}": side.detach().float().cpu().contiguous()
            for update in own
            for name, side in (("U", update.left), ("V", update.right))
        }
        _require_finite(tensors)
        save_file(tensors, folder / TENSORS, metadata={"format": "pt"})
        write_edits(folder / EDITS)
        layers = [
            {"layer": update.layer, "rank": update.left.shape[1], "norm": float(f"{update.norm:.6g}")} for update in own
        ]
        about = {
            "schema": SCHEMA,
            "base": weights,
            "model_type": model_type,
            "computed_on": list(computed_on),
            "layers": layers,
            "edits": len(read_edits(folder)),
            "settings": settings,
        }
        (folder / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")

    digest = store.put(KIND, write, sensitivity="forget")
    return _record(read_about(_artifact(digest)), digest, origin or "")


def _require_finite(tensors: Any) -> None:
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{name} is not finite; wanted an update of finite numbers")


def _artifact(digest: str) -> Artifact:
    return Artifact(kind=KIND, digest=digest, sensitivity="forget")


def _record(about: dict[str, Any], digest: str, origin: str = "") -> EditPatch:
    return EditPatch(
        kind=KIND,
        digest=digest,
        sensitivity="forget",
        origin=origin,
        base=about["base"],
        computed_on=tuple(about["computed_on"]),
        layers=tuple(entry["layer"] for entry in about["layers"]),
        rank=max(entry["rank"] for entry in about["layers"]),
        edits=about["edits"],
    )


def read_about(patch: Artifact) -> dict[str, Any]:
    """Return what a patch's `patch.json` says."""
    return json.loads((store.path(patch) / ABOUT).read_text(encoding="utf-8"))


def read_edits(folder: Path) -> list[dict[str, Any]]:
    """Return the requests of a patch's folder as they are written."""
    lines = (folder / EDITS).read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line.strip()]


def read_updates(patch: EditPatch) -> "list[Update]":
    """Return a patch's updates, by layer.

    Raises:
        BadInputError: If its tensors are not those that it names, or not finite.
    """
    from safetensors.torch import load_file

    from tasks.algorithms.editing.rome import Update

    tensors = load_file(store.path(patch) / TENSORS)
    try:
        _require_finite(tensors)
        return [
            Update(layer=layer, left=tensors[f"layer.{layer}.U"], right=tensors[f"layer.{layer}.V"])
            for layer in patch.layers
        ]
    except (KeyError, ValueError) as error:
        raise BadInputError(f"patch {patch.digest[:SHOWN]}: {error}; wanted U and V of each of its layers") from None


def open_patch(name: str) -> EditPatch:
    """Return the patch of a folder, or that of the store with this digest, of which a few letters do.

    A folder's patch is taken into the store, and where it lies is remembered, should it be purged there.

    Raises:
        BadInputError: If there is none, or several, or the folder is none or damaged.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _taken_in(folder)
    found = store.digests(KIND, name) if len(name) >= LEAST_LETTERS else []
    if len(found) > 1:
        raise BadInputError(f"patch {name}: {len(found)} in the store begin so; wanted more letters of one's digest")
    if found:
        return _record(read_about(_artifact(found[0])), found[0])
    place = store.noted_place(name)
    patch = _taken_in(Path(place)) if place and Path(place).is_dir() else None
    if patch and patch.digest == name:
        return patch
    seen = f", and {place}, where it was last seen, has it no more" if place else ""
    raise BadInputError(
        f"patch {name[:64]}: there is no such folder, and the store has none that begins so{seen}; wanted a patch's"
        f" folder or at least {LEAST_LETTERS} letters of its digest"
    )


def _taken_in(folder: Path) -> EditPatch:
    about = _checked(folder)
    digest = store.put(
        KIND,
        lambda room: [shutil.copyfile(folder / name, room / name) for name in FILES] and None,
        sensitivity="forget",
    )
    if not folder.resolve().is_relative_to(store.home()):
        store.note_place(digest, str(folder.resolve()))
    return _record(about, digest)


def _checked(folder: Path) -> dict[str, Any]:
    """Return what a user's folder says of its patch, once that is what such a folder says."""
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise BadInputError(f"{folder} is no patch: no {missing[0]} there; wanted {', '.join(FILES)}")
    about = read_object(folder / ABOUT, str(folder))
    try:
        rows = read_edits(folder)
        if not _describes(about) or len(rows) != about["edits"]:
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadInputError(
            f"{folder / ABOUT} does not describe a patch; wanted schema {SCHEMA}, and as many edits as {EDITS} has"
        ) from None
    _check_edits(folder, rows)
    _check_tensors(folder, [entry["layer"] for entry in about["layers"]])
    return about


def _describes(about: dict[str, Any]) -> bool:
    texts = [about["schema"], about["base"], about["model_type"], *about["computed_on"]]
    numbers = [about["edits"], *(entry[name] for entry in about["layers"] for name in ("layer", "rank"))]
    return (
        about["schema"] == SCHEMA
        and bool(about["layers"])
        and all(isinstance(text, str) for text in texts)
        and all(type(number) is int and number >= 0 for number in numbers)
        and isinstance(about["computed_on"], list)
    )


def _check_edits(folder: Path, rows: Sequence[Any]) -> None:
    from pydantic import TypeAdapter, ValidationError

    adapter = TypeAdapter(EditRequest)
    for number, row in enumerate(rows, 1):
        try:
            adapter.validate_python(row)
        except ValidationError:
            raise BadInputError(f"{folder / EDITS}, edit {number} is none; wanted the edits of the patch") from None


def _check_tensors(folder: Path, layers: Sequence[int]) -> None:
    """Refuse updates that are not matrices of one rank on both sides."""
    from safetensors import SafetensorError, safe_open

    file = folder / TENSORS
    try:
        with safe_open(file, framework="numpy") as tensors:
            sides = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118 - a handle, no mapping
            found = {name: (side.get_dtype(), *side.get_shape()) for name, side in sides.items()}
    except SafetensorError as error:
        raise BadInputError(f"{file} is damaged ({error}); wanted whole safetensors") from None
    for layer in layers:
        left, right = (found.get(f"layer.{layer}.{name}", ()) for name in ("U", "V"))
        if not len(left) == len(right) == 3 or not left[0] == right[0] == "F32" or left[2] != right[2]:
            raise BadInputError(f"{file}, layer {layer}: wanted U and V, two matrices in float32 of one rank")
