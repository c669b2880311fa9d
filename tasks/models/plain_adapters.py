"""Adapters as peft alone writes them: a folder that names its base by place, not by digest.

Such a folder is copied to the store as one of ours, with the base's digest beside it and only those of peft's settings
that say how A and B are added: then it is loaded, compared and cached like any other adapter. The base is a folder of
this machine or nothing: a hub name in a file that came with somebody's weights is not followed.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks import store
from tasks.artifacts import BadInputError, CheckpointRef
from tasks.models import adapter_files

KEPT = (
    *("r", "lora_alpha", "lora_dropout", "fan_in_fan_out", "bias", "task_type", "inference_mode", "use_rslora"),
    *("target_modules", "exclude_modules", "rank_pattern", "alpha_pattern", "layers_to_transform", "layers_pattern"),
)
"""Settings that say where A and B stand and by what factor."""
BEYOND = (
    *("modules_to_save", "use_dora", "trainable_token_indices", "layer_replication", "target_parameters", "lora_bias"),
    *("megatron_config", "alora_invocation_tokens", "use_bdlora", "use_qalora", "arrow_config", "monteclora_config"),
)
"""Settings by which an adapter is more than A and B; one that is set is refused."""
UNCHANGED_BASES = (True, False, None, "gaussian", "eva", "orthogonal", "kaiming")
"""Ways to begin A and B (`init_lora_weights`) that leave the base as it was; others take a part of it away."""
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")


def is_plain(folder: Path) -> bool:
    """Return whether a folder holds an adapter that peft alone has written."""
    settings, base = adapter_files.SETTINGS
    return (folder / settings).is_file() and not (folder / base).is_file()


def read_plain(folder: Path, given: str) -> dict[str, Any]:
    """Return an adapter's settings.

    Args:
        folder: A plain adapter's.
        given: Option and place, for the message.

    Raises:
        BadInputError: If it is more or other than A and B of some layers, or has no safetensors.
    """
    try:
        settings = json.loads((folder / adapter_files.SETTINGS[0]).read_text(encoding="utf-8"))
        kind = settings["peft_type"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise BadInputError(f"{given}: adapter_config.json cannot be read; wanted what peft writes") from None
    beyond = [name for name in BEYOND if settings.get(name)]
    if kind != "LORA" or beyond or settings.get("bias", "none") != "none":
        what = "a bias" if settings.get("bias", "none") != "none" else kind
        raise BadInputError(
            f"{given}: the adapter is more than A and B of some layers ({', '.join(beyond) or what}); wanted plain"
            " LoRA, or a model that it was merged into"
        )
    begun = settings.get("init_lora_weights", True)
    if not any(begun is way or (isinstance(way, str) and begun == way) for way in UNCHANGED_BASES):
        raise BadInputError(
            f"{given}: the adapter belongs to a base that peft changed when it was made (init_lora_weights {begun!r});"
            " wanted one of the base itself, or a model that it was merged into"
        )
    if not (folder / adapter_files.WEIGHTS).is_file():
        raise BadInputError(f"{given}: an adapter without {adapter_files.WEIGHTS}; wanted it as safetensors")
    _require_factors(folder / adapter_files.WEIGHTS, given)
    return settings


def _require_factors(file: Path, given: str) -> None:
    """Refuse tensors that are no A and no B, such as an embedding that was trained along."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as tensors:
            names = list(tensors.keys())
    except SafetensorError as error:
        raise BadInputError(f"{given}: {file.name} is damaged ({error}); wanted whole safetensors") from None
    other = next((name for name in names if not name.endswith((".lora_A.weight", ".lora_B.weight"))), None)
    if other or not names:
        raise BadInputError(f"{given}: {file.name} holds {other or 'nothing'}; wanted A and B of some layers alone")


def base_folder(folder: Path, settings: Mapping[str, Any], given: str) -> Path:
    """Return the folder of an adapter's base; a relative one is looked for beside the adapter, then here.

    Raises:
        BadInputError: If there is none on this machine, or it is an adapter itself.
    """
    named = settings.get("base_model_name_or_path")
    places = [(folder / named), Path(named).expanduser()] if isinstance(named, str) and named.strip() else []
    try:
        base = next((place.resolve() for place in places if (place / "config.json").is_file()), None)
    except OSError:  # a name that no file can have
        base = None
    if base is None:
        raise BadInputError(
            f"{given}: an adapter whose base is {named!r}, which is no model folder here; wanted"
            " base_model_name_or_path in its adapter_config.json to be one (nothing is fetched for it), or a model that"
            " it was merged into"
        )
    if (base / adapter_files.SETTINGS[0]).is_file():
        raise BadInputError(f"{given}: the adapter's base {base} is an adapter too; wanted a whole model")
    return base


def adopt(folder: Path, settings: Mapping[str, Any], base: CheckpointRef) -> Path:
    """Copy a plain adapter to the store as one of ours and return its folder there; its tokenizer is the base's where
    it has none.
    """
    words = folder if (folder / TOKENIZER[0]).is_file() else Path(base.location)
    noted = adapter_files.Base(digest=base.digest, location=base.location, parameters=base.parameters)
    kept = {name: settings[name] for name in KEPT if settings.get(name) is not None}

    def write(place: Path) -> None:
        shutil.copyfile(folder / adapter_files.WEIGHTS, place / adapter_files.WEIGHTS)
        adapter_files.write_settings(place, {"peft_type": "LORA", **kept}, noted)
        for name in TOKENIZER:
            if (words / name).is_file():
                shutil.copyfile(words / name, place / name)

    digest = store.put("checkpoints", write)
    return store.path(
        CheckpointRef(
            kind="checkpoints", digest=digest, sensitivity="ordinary", parameters=base.parameters, label="adapter"
        )
    )
