"""Which weights a model folder holds, whatever else lies beside them and however they are cut into files.

A checkpoint's own digest cannot say it: that of a user's folder counts weights and the files that decide what the model
says, the store's counts every file, so one and the same model has two. What an update is added to is the tensors; their
digest is the same for a folder, its copy in the store, and a copy of that.

    digest = SHA-256 over name, type, shape and SHA-256 of the bytes of every tensor, by name
"""

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from tasks import store
from tasks.artifacts import BadInputError, CheckpointRef
from tasks.models import adapter_files

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
CHUNK_BYTES = 2**22
"""What is read at a time."""
Summed = tuple[str, str, tuple[int, ...], str]
"""Name, type, shape and sum of a tensor."""


def weights_digest(checkpoint: CheckpointRef) -> str:
    """Return the digest of a checkpoint's tensors; nothing is loaded.

    Raises:
        BadInputError: If it is an adapter, whose weights are its base's too.
    """
    return folder_digest(store.path(checkpoint))


def identify(checkpoint: CheckpointRef) -> str:
    """Return the digest of a checkpoint's tensors, and remember where it is, so that it is found by that digest.

    A place in the store stays noted while it is there: other copies may go away sooner.

    Raises:
        BadInputError: As `weights_digest`.
    """
    digest = weights_digest(checkpoint)
    noted = store.noted_place(digest)
    if not noted or not Path(noted).is_relative_to(store.home()) or not Path(noted).is_dir():
        store.note_place(digest, str(store.path(checkpoint)))
    return digest


def folder_digest(folder: Path) -> str:
    """Return the digest of the tensors in a model folder.

    Raises:
        BadInputError: If it holds an adapter.
    """
    if (folder / adapter_files.SETTINGS[0]).is_file():
        raise BadInputError(f"{folder} holds an adapter; wanted a whole model: merge it into its base first")
    tensors = sorted(tensor for file in weight_files(folder) for tensor in _tensors(file))
    return hashlib.sha256(json.dumps(tensors).encode()).hexdigest()


def weight_files(folder: Path) -> list[Path]:
    """Return the files that are loaded: some folders hold the weights in a second layout too.

    Raises:
        BadInputError: If the index is damaged, or names files that are not beside it.
    """
    if (folder / WHOLE).is_file():
        return [folder / WHOLE]
    if not (folder / INDEX).is_file():
        return sorted(folder.glob("*.safetensors"))
    try:
        names = sorted({*json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()})
        missing = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OSError):
        raise BadInputError(f"{INDEX} cannot be read; wanted tensors and the files that hold them") from None
    if missing or not names:
        raise BadInputError(f"{INDEX} names {', '.join(missing) or 'no file'}; wanted files beside it")
    return [folder / name for name in names]


def _tensors(file: Path) -> tuple[Summed, ...]:
    found = file.stat()
    return _summed(file, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))


@functools.lru_cache(maxsize=256)
def _summed(file: Path, identity: tuple[int, ...]) -> tuple[Summed, ...]:
    """Return name, type, shape and sum of each tensor of a file; read once while the file stays what it is."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header: dict[str, Any] = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        return tuple(
            (name, entry["dtype"], tuple(entry["shape"]), _sum(stream, 8 + length, *entry["data_offsets"]))
            for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"])
        )


def _sum(stream: Any, data: int, start: int, stop: int) -> str:
    stream.seek(data + start)
    total = hashlib.sha256()
    while start < stop:
        chunk = stream.read(min(CHUNK_BYTES, stop - start))
        if not chunk:
            raise OSError(f"{stream.name} ends {stop - start} bytes too early; wanted a whole file")
        total.update(chunk)
        start += len(chunk)
    return total.hexdigest()
