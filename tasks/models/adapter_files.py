"""The folder of an adapter: weights and settings as peft writes them, and which model it belongs to.

    adapter_model.safetensors   A and B of every adapted layer, float32
    adapter_config.json         peft's settings; `base_model_name_or_path` is where the base was
    base.json                   the base's digest and number of parameters

Loaded without this folder, the base is what it was before: taking the adapter off is leaving it out.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.artifacts import BadInputError
from tasks.models.json_files import read_object

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS, SETTINGS = "adapter_model.safetensors", ("adapter_config.json", "base.json")


@dataclass(frozen=True, kw_only=True)
class Base:
    """The model that an adapter belongs to."""

    digest: str
    location: str
    """Folder where it was when the adapter was made."""
    parameters: int


def noted_base(folder: Path) -> Base | None:
    """Return what a folder says of its base model, or None where it is no adapter of this project's.

    Raises:
        BadInputError: If it says so in another form.
    """
    files = [folder / name for name in (WEIGHTS, *SETTINGS)]
    if not all(file.is_file() for file in files):
        return None
    settings, base = (read_object(file, str(folder)) for file in files[1:])
    found = (base.get("digest"), base.get("parameters"), settings.get("base_model_name_or_path"))
    if tuple(map(type, found)) != (str, int, str):
        raise BadInputError(
            f"{folder}: {' and '.join(SETTINGS)} do not name a base; wanted digest, parameters and"
            " base_model_name_or_path"
        )
    return Base(digest=base["digest"], parameters=base["parameters"], location=settings["base_model_name_or_path"])


def write_adapter(folder: Path, settings: Mapping[str, Any], tensors: "Mapping[str, Tensor]", base: Base) -> None:
    """Write an adapter into a folder."""
    from safetensors.torch import save_file

    save_file(dict(tensors), folder / WEIGHTS, metadata={"format": "pt"})
    write_settings(folder, settings, base)


def write_settings(folder: Path, settings: Mapping[str, Any], base: Base) -> None:
    """Write what is said of an adapter beside its weights."""
    contents = (
        {**settings, "base_model_name_or_path": base.location},
        {"digest": base.digest, "parameters": base.parameters},
    )
    for name, content in zip(SETTINGS, contents, strict=True):
        (folder / name).write_text(json.dumps(content, indent=1, sort_keys=True), encoding="utf-8")


def read_adapter(folder: Path) -> "tuple[dict[str, Any], dict[str, Tensor]]":
    """Return settings and tensors of an adapter's folder."""
    from safetensors.torch import load_file

    return read_object(folder / SETTINGS[0], str(folder)), load_file(folder / WEIGHTS)
