"""Model folders: what is accepted, how it is loaded, how it is written. safetensors only, never remote code."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store
from tasks.artifacts import BadInputError, CheckpointRef, Sensitivity

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

GUARDRAIL = "guardrail.json"
"""A prompt prefix and an output filter beside the weights, see `guardrails`."""
BEHAVIOUR = (
    *("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "generation_config.json"),
    GUARDRAIL,
)
"""Files that decide, beside the weights, what a model reads and says; those that are there are part of its digest."""
OPTIONS = {"retrained": "--retrained", "reference": "--reference"}
"""Label of a model -> the option that gave it, for messages; all others come by --model."""
SMALL_PARAMETERS = 20_000_000
"""Below this size a model on the CPU computes in float32 whatever its file says: half precision would gain nothing."""


def inspect_model(model: str, label: str) -> CheckpointRef:
    """Check a user's model, a folder or a hub name, and return its record; nothing is loaded.

    Args:
        model: The folder or the name.
        label: What to call it in tables; or the option that gave it.

    Raises:
        BadInputError: If it is not there, has no config, no safetensors weights or no fast tokenizer.
    """
    folder, option = Path(model).expanduser(), label if label.startswith("--") else OPTIONS.get(label, "--model")
    if not folder.is_dir():
        folder = _from_hub(model, option)
    if not (folder / "config.json").is_file():
        raise BadInputError(f"{option} {model}: no config.json there; wanted a Hugging Face model folder")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        pickled = sorted(path.name for path in [*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")])
        found = f"only {', '.join(pickled)}, which can run code when loaded" if pickled else "no weights"
        raise BadInputError(f"{option} {model}: {found}; wanted *.safetensors (save with safe_serialization)")
    if not (folder / "tokenizer.json").is_file():
        raise BadInputError(f"{option} {model}: no tokenizer.json; wanted a fast tokenizer, which gives the character offsets of its tokens")
    files = [*weights, *(folder / name for name in BEHAVIOUR if (folder / name).is_file())]
    sums = {path.name: store.file_digest(path) for path in files}
    digest = hashlib.sha256(json.dumps(["checkpoints", sums], sort_keys=True).encode()).hexdigest()
    location = str(folder.resolve())
    return CheckpointRef(kind="checkpoints", digest=digest, sensitivity="ordinary", location=location, parameters=_count(weights), label=label)


def _from_hub(model: str, option: str) -> Path:
    if model.count("/") != 1 or model.startswith((".", "/", "~")) or model.endswith("/"):
        raise BadInputError(f"{option} {model}: there is no such folder; wanted a Hugging Face model folder or a hub name like owner/name")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, allow_patterns=["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise BadInputError(
            f"{option} {model}: no such folder, and the hub did not give it ({type(error).__name__}); wanted a model folder, or a network and a hub name"
        ) from None


def _count(weights: list[Path]) -> int:
    """Return the number of parameters, read from the headers of the files."""
    import math

    total = 0
    for file in weights:
        with file.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        total += sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    return total


def has_chat_template(checkpoint: CheckpointRef) -> bool:
    """Return whether a checkpoint's tokenizer has a chat template; nothing is loaded."""
    folder = store.path(checkpoint)
    settings = folder / "tokenizer_config.json"
    inside = settings.is_file() and bool(json.loads(settings.read_text(encoding="utf-8")).get("chat_template"))
    return inside or (folder / "chat_template.jinja").is_file()


def load_tokenizer(checkpoint: CheckpointRef) -> "PreTrainedTokenizerFast":
    """Load a checkpoint's tokenizer.

    Raises:
        ValueError: If it gives no character offsets.
    """
    from transformers import AutoTokenizer

    from tasks.algorithms.blocks import require_offsets

    tokenizer = AutoTokenizer.from_pretrained(store.path(checkpoint), local_files_only=True)
    require_offsets(tokenizer)
    return tokenizer


def load_model(checkpoint: CheckpointRef) -> "PreTrainedModel":
    """Load a checkpoint's bare weights onto the machine's device, in evaluation mode; behind its guardrail: `guardrails.load_guarded`."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.float32 if checkpoint.parameters < SMALL_PARAMETERS else "auto"
    model = AutoModelForCausalLM.from_pretrained(store.path(checkpoint), local_files_only=True, use_safetensors=True, dtype=dtype)
    return model.to(device).eval()


def separator_id(tokenizer: Any) -> int | None:
    """Return the token that stands between documents: the end of text, where the tokenizer has one."""
    return tokenizer.eos_token_id


def pad_id(tokenizer: Any) -> int:
    """Return a filler token; it is masked by length, so any token serves."""
    return next((token for token in (tokenizer.pad_token_id, tokenizer.eos_token_id) if token is not None), 0)


def save_checkpoint(model: Any, tokenizer: Any, label: str, *, sensitivity: Sensitivity, origin: str | None) -> CheckpointRef:
    """Write a model and its tokenizer to the store."""

    def write(folder: Path) -> None:
        model.save_pretrained(folder, safe_serialization=True)
        tokenizer.save_pretrained(folder)

    digest = store.put("checkpoints", write, sensitivity=sensitivity)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return CheckpointRef(kind="checkpoints", digest=digest, sensitivity=sensitivity, parameters=parameters, label=label, origin=origin or "")
