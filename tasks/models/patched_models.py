"""Models that carry patches: a list beside the weights says which, and on what base.

    patches.json   the base's weights, the patches on them in order, and the weights that they give

The list changes nothing that the model says, so it is no part of a folder's digest as a user's model. A patch is taken
out by leaving it out: base and remaining patches, in order, are added up anew, to the bit.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks import store
from tasks.artifacts import BadInputError, CheckpointRef, EditPatch
from tasks.models.checkpoints import inspect_model
from tasks.models.gathering import find_model
from tasks.models.json_files import read_object
from tasks.models.patch_files import LEAST_LETTERS, SHOWN, open_patch
from tasks.models.weights import folder_digest, identify, weights_digest

LIST = "patches.json"
SCHEMA = "lethe.patched.v1"


@dataclass(frozen=True, kw_only=True)
class Patched:
    """A model as its base and the patches on it."""

    base: CheckpointRef
    patches: tuple[EditPatch, ...]


def write_list(folder: Path, patches: Sequence[EditPatch]) -> None:
    """Say beside a model's weights which patches they hold."""
    content = {
        "schema": SCHEMA,
        "base": patches[0].base,
        "patches": [patch.digest for patch in patches],
        "weights": folder_digest(folder),
    }
    (folder / LIST).write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_list(folder: Path) -> tuple[str, list[str]]:
    """Return the base's weights and the patches of a model's list, by digest.

    Raises:
        BadInputError: If it has no list, or other weights than its patches gave.
    """
    file = folder / LIST
    try:
        content = read_object(file, str(folder))
        base, patches, weights = content["base"], content["patches"], content["weights"]
        if content["schema"] != SCHEMA or not all(isinstance(text, str) for text in (base, weights, *patches)):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError):
        raise BadInputError(f"{file} lists no patches; wanted schema {SCHEMA}") from None
    if (found := folder_digest(folder)) != weights:
        raise BadInputError(
            f"{folder}: its weights, {found[:SHOWN]}, are not those that its patches gave, {weights[:SHOWN]}; wanted"
            f" the folder as it was written"
        )
    return base, patches


def require_base(base: CheckpointRef, patches: Sequence[EditPatch]) -> None:
    """Refuse patches that belong to another base, or to none twice.

    Raises:
        BadInputError: If one does; both digests are named.
    """
    weights = weights_digest(base)
    for patch in patches:
        if patch.base != weights:
            patched = (store.path(base) / LIST).is_file()
            hint = ", which has patches already: they are added to by `stack`" if patched else ""
            raise BadInputError(
                f"patch {patch.digest[:SHOWN]} belongs to weights {patch.base[:SHOWN]}; {base.name} has"
                f" {weights[:SHOWN]}{hint}"
            )
    digests = [patch.digest for patch in patches]
    if twice := next((digest for digest in digests if digests.count(digest) > 1), None):
        raise BadInputError(f"patch {twice[:SHOWN]} comes twice; wanted each once")


def find_base(digest: str, given: str | None = None) -> CheckpointRef:
    """Return the model with these weights: the one that is given, else from where it was last seen, the store among it.

    Raises:
        BadInputError: If it cannot be had, or is another one.
    """
    option, place = ("--base", given) if given else ("base", store.noted_place(digest))
    if place and (given or Path(place).is_dir()):
        base = inspect_model(place, option)
        if (found := weights_digest(base)) == digest:
            return base
        problem = f"{place} has the weights {found[:SHOWN]}"
    else:
        problem = f"{place}, where it was last seen, is not there" if place else "it was never seen here"
    raise BadInputError(f"the base with weights {digest[:SHOWN]}: {problem}; wanted its folder, as --base")


def taken_apart(model: str, base: str | None = None) -> Patched:
    """Return base and patches of a model, or a model without patches as its own base.

    Args:
        model: Folder or hub name.
        base: The base's, where it is known.

    Raises:
        BadInputError: If base or patches cannot be had, or the weights are not what they gave.
    """
    found = find_model(model, "target")
    if not (store.path(found) / LIST).is_file():
        identify(found)
        return Patched(base=found, patches=())
    digest, names = read_list(store.path(found))
    return Patched(base=find_base(digest, base), patches=tuple(open_patch(name) for name in names))


def taken_out(patched: Patched, names: Sequence[str]) -> tuple[EditPatch, ...]:
    """Return the patches of a model less some, in their order.

    Args:
        patched: The model.
        names: Folders, or the first letters of digests.

    Raises:
        BadInputError: If one is not among them.
    """
    own, out = [patch.digest for patch in patched.patches], set()
    for name in names:
        begun = [digest for digest in own if len(name) >= LEAST_LETTERS and digest.startswith(name)]
        digest = begun[0] if len(begun) == 1 else open_patch(name).digest
        if digest not in own:
            there = ", ".join(each[:SHOWN] for each in own) or "none"
            raise BadInputError(f"patch {digest[:SHOWN]} is not in the model; wanted one of its patches: {there}")
        out.add(digest)
    return tuple(patch for patch in patched.patches if patch.digest not in out)


def moved(patches: Sequence[EditPatch]) -> dict[str, tuple[str, ...]]:
    """Return the patches that stand on others than those they were computed on, with those they now stand on.

    An edit is computed so that it holds in the weights that it meets, so every edit of such a list is to be scored
    again.
    """
    digests = tuple(patch.digest for patch in patches)
    return {
        patch.digest: digests[:number] for number, patch in enumerate(patches) if patch.computed_on != digests[:number]
    }
