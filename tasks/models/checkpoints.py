"""Model folders: what is accepted, and what their files say without being loaded."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks import store
from tasks.artifacts import BadInputError, CheckpointRef
from tasks.models import adapter_files, plain_adapters
from tasks.models.acceptance import StoredTensor, require_decoder, require_plain, text_settings
from tasks.models.config_sizes import require_buildable
from tasks.models.json_files import read_object
from tasks.models.weights import weight_files

GUARDRAIL = "guardrail.json"
"""A prompt prefix and an output filter beside the weights, see `guardrails`."""
BEHAVIOUR = (
    *(
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "chat_template.jinja",
        "generation_config.json",
    ),
    GUARDRAIL,
)
"""Files that decide, beside the weights, what a model reads and says; those that are there are part of its digest."""
OPTIONS = {"retrained": "--retrained", "reference": "--reference"}
"""Label of a model -> the option that gave it, for messages; all others come by --model."""


def option_of(label: str) -> str:
    """Return the option that gave a model, by its label, which may be that option."""
    return label if label.startswith("--") else OPTIONS.get(label, "--model")


def inspect_model(model: str, label: str) -> CheckpointRef:
    """Check a user's model, a folder or a hub name, and return its record; nothing is loaded.

    Args:
        model: The folder, or the name, with a revision if need be: owner/name@revision.
        label: What to call it in tables; or the option that gave it.

    Raises:
        BadInputError: If it is not there, has no config, no safetensors weights or no fast tokenizer, is an adapter
            without its base, or no decoder of text in plain numbers, see `acceptance`.
    """
    folder, option = Path(model).expanduser(), option_of(label)
    if not folder.is_dir():
        folder = _from_hub(model, option)
    if plain_adapters.is_plain(folder):
        folder = _adopted(folder, f"{option} {model}")
    adapter = adapter_files.noted_base(folder)
    config = {} if adapter else _accepted_config(folder, f"{option} {model}")
    try:
        weights = weight_files(folder)
    except BadInputError as error:
        raise BadInputError(f"{option} {model}: {error}") from None
    if not weights:
        pickled = sorted(path.name for path in [*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")])
        problem = f"only {', '.join(pickled)}, which can run code when loaded" if pickled else "no weights"
        raise BadInputError(f"{option} {model}: {problem}; wanted *.safetensors (save with safe_serialization)")
    if not (folder / "tokenizer.json").is_file():
        raise BadInputError(
            f"{option} {model}: no tokenizer.json; wanted a fast tokenizer, which gives the character offsets of its"
            " tokens"
        )
    files = [*weights, *(folder / name for name in (*BEHAVIOUR, *adapter_files.SETTINGS) if (folder / name).is_file())]
    sums = {path.name: store.file_digest(path) for path in files}
    digest = hashlib.sha256(json.dumps(["checkpoints", sums], sort_keys=True).encode()).hexdigest()
    location = str(folder.resolve())
    parameters, tensors = _count(weights, config, f"{option} {model}")
    if adapter:
        parameters = base_of(folder).parameters
    else:
        require_buildable(config, tensors, f"{option} {model}")
    return CheckpointRef(
        kind="checkpoints", digest=digest, sensitivity="ordinary", location=location, parameters=parameters, label=label
    )


def _adopted(folder: Path, given: str) -> Path:
    """Return a plain adapter as one of ours; its base is a folder of this machine."""
    settings = plain_adapters.read_plain(folder, given)
    base = inspect_model(str(plain_adapters.base_folder(folder, settings, given)), "base")
    return plain_adapters.adopt(folder, settings, base)


def _accepted_config(folder: Path, given: str) -> dict[str, Any]:
    """Return what a model folder's config.json says, of a model that is let in."""
    if not (folder / "config.json").is_file():
        raise BadInputError(f"{given}: no config.json there; wanted a Hugging Face model folder")
    config = read_settings(folder / "config.json", given)
    if _wants_own_code(config):
        raise BadInputError(
            f"{given}: config.json names code of the model's own (auto_map), which is never run; wanted a model of a"
            " type that the transformers library knows"
        )
    require_decoder(config, given)
    return config


def is_adapter(checkpoint: CheckpointRef) -> bool:
    """Return whether a checkpoint is an adapter that needs its base model."""
    return adapter_files.noted_base(store.path(checkpoint)) is not None


def base_of(folder: Path) -> CheckpointRef:
    """Return the model that an adapter's folder names as its base, by digest: from the store, else where it was last
    seen.

    Raises:
        BadInputError: If it cannot be had, or what is there is another model.
    """
    noted = adapter_files.noted_base(folder)
    if noted is None:
        raise BadInputError(f"{folder} is no adapter folder; wanted one with {' and '.join(adapter_files.SETTINGS)}")
    if sensitivity := store.find("checkpoints", noted.digest):
        return CheckpointRef(
            kind="checkpoints", digest=noted.digest, sensitivity=sensitivity, parameters=noted.parameters, label="base"
        )
    attempts = []
    for place in dict.fromkeys(place for place in (store.noted_place(noted.digest), noted.location) if place):
        candidate = inspect_model(place, "base") if Path(place).is_dir() else None
        if candidate and candidate.digest == noted.digest:
            return candidate
        attempts.append(
            f"{place} holds another model ({candidate.digest[:16]})" if candidate else f"{place} is not there"
        )
    raise BadInputError(
        f"adapter {folder}: {'; '.join(attempts)}; wanted its base model, whose digest is {noted.digest[:16]}"
    )


def config_folder(checkpoint: CheckpointRef) -> Path:
    """Return the folder with a checkpoint's config.json; an adapter's is its base's."""
    folder = store.path(checkpoint)
    return config_folder(base_of(folder)) if is_adapter(checkpoint) else folder


def context_length(checkpoint: CheckpointRef) -> int | None:
    """Return how many tokens a checkpoint's model reads at most; None where its config names no limit."""
    config = text_settings(read_object(config_folder(checkpoint) / "config.json", checkpoint.name))
    limits = (config[name] for name in ("max_position_embeddings", "n_positions") if name in config)
    return next((limit for limit in limits if isinstance(limit, int)), None)


def _wants_own_code(config: Mapping[str, Any]) -> bool:
    """Return whether a model cannot be loaded but with code that came with it: many name such code for old libraries,
    and are of a type that the library knows by now.
    """
    if "auto_map" not in config:
        return False
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    kind = config.get("model_type")
    return not isinstance(kind, str) or kind not in CONFIG_MAPPING_NAMES


def _from_hub(model: str, option: str) -> Path:
    if model.count("/") != 1 or model.startswith((".", "/", "~")) or model.endswith("/"):
        raise BadInputError(
            f"{option} {model}: there is no such folder; wanted a Hugging Face model folder or a hub name like"
            " owner/name"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    name, _, revision = model.partition("@")
    files = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=files))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise BadInputError(
            f"{option} {model}: no such folder, and the hub did not give it ({type(error).__name__}); wanted a model"
            " folder, or a network and a hub name"
        ) from None


def _count(weights: list[Path], config: Mapping[str, Any], given: str) -> tuple[int, int]:
    """Return the numbers of parameters and of tensors, read from the headers of the files.

    Raises:
        BadInputError: If a file is damaged, or holds what is not let in.
    """
    import math

    from safetensors import SafetensorError, safe_open

    found: list[StoredTensor] = []
    for file in weights:
        try:
            with safe_open(file, framework="numpy") as tensors:
                for name in tensors.keys():  # noqa: SIM118 - a handle, no mapping
                    part = tensors.get_slice(name)
                    found.append(StoredTensor(name, str(part.get_dtype()), tuple(part.get_shape())))
        except SafetensorError as error:
            raise BadInputError(f"{given}: {file.name} is damaged ({error}); wanted whole safetensors") from None
    require_plain(found, config, given)
    return sum(math.prod(tensor.shape) for tensor in found), len(found)


def read_settings(file: Path, given: str) -> dict[str, Any]:
    """Return what a model's JSON file says.

    Raises:
        BadInputError: If it is no JSON object.
    """
    return read_object(file, given)


def has_chat_template(checkpoint: CheckpointRef) -> bool:
    """Return whether a checkpoint's tokenizer has a chat template; nothing is loaded."""
    folder = store.path(checkpoint)
    settings = folder / "tokenizer_config.json"
    inside = settings.is_file() and bool(read_object(settings, str(folder)).get("chat_template"))
    return inside or (folder / "chat_template.jinja").is_file()
