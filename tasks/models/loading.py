"""Model folders loaded and written: weights, tokenizers, adapters on their base. safetensors only, never
remote code.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store
from tasks.artifacts import BadInputError, CheckpointRef, Sensitivity
from tasks.models import adapter_files
from tasks.models.acceptance import text_settings
from tasks.models.checkpoints import base_of, config_folder, is_adapter
from tasks.models.weights import weight_files

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

SMALL_PARAMETERS = 20_000_000
"""Below this size a model on the CPU computes in float32 whatever its file says: half precision would gain nothing."""


def skeleton(checkpoint: CheckpointRef) -> "PreTrainedModel":
    """Return a checkpoint's architecture without its weights, on the meta device: what layers there are, and their
    shapes.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(
            AutoConfig.from_pretrained(config_folder(checkpoint), local_files_only=True, trust_remote_code=False),
            trust_remote_code=False,
        )


def load_tokenizer(checkpoint: CheckpointRef) -> "PreTrainedTokenizerFast":
    """Load a checkpoint's tokenizer.

    Raises:
        ValueError: If it gives no character offsets.
    """
    from transformers import AutoTokenizer

    from tasks.algorithms.tokens.alignment import require_offsets

    tokenizer = AutoTokenizer.from_pretrained(store.path(checkpoint), local_files_only=True, trust_remote_code=False)
    require_offsets(tokenizer)
    config = json.loads((config_folder(checkpoint) / "config.json").read_text(encoding="utf-8"))
    rows = text_settings(config).get("vocab_size")
    if tokenizer.pad_token_id is not None and rows and tokenizer.pad_token_id >= rows:
        tokenizer.pad_token = tokenizer.eos_token  # filler is masked, but the embedding has to have it
    return tokenizer


def load_model(checkpoint: CheckpointRef, *, exact: bool = False) -> "PreTrainedModel":
    """Load a checkpoint's bare weights onto the machine's device, in evaluation mode; an adapter is merged into its
    base as it is loaded. Behind its guardrail: `guardrail_files.load_behind_guardrail`.

    Args:
        checkpoint: What to load.
        exact: In float32 whatever is stored, as weights that are to be trained must be: in half precision most steps of
            AdamW round to nothing.

    Raises:
        BadInputError: If an adapter's base cannot be had, or weights of the model are in no file.
    """
    if is_adapter(checkpoint):
        from tasks.algorithms.models import adapters

        model = load_model(base_of(store.path(checkpoint)), exact=exact)
        _attach(model, checkpoint)
        adapters.merge(model, checkpoint.label)
        return model
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.float32 if exact else handled_dtype(checkpoint)
    model, report = AutoModelForCausalLM.from_pretrained(
        store.path(checkpoint),
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype=dtype,
        output_loading_info=True,
    )
    if missing := sorted(report["missing_keys"]):
        raise BadInputError(
            f"{checkpoint.label} model {checkpoint.name}: its files do not hold {missing[0]}"
            f"{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}, which would be made up; wanted a whole"
            " model"
        )
    return model.to(device).eval()


def handled_dtype(checkpoint: CheckpointRef) -> "torch.dtype":
    """Return the type in which a checkpoint is loaded, evaluated and stored: that of its weights, or float32 where the
    model is small.
    """
    import torch
    from safetensors import safe_open

    if checkpoint.parameters < SMALL_PARAMETERS:
        return torch.float32
    with safe_open(weight_files(config_folder(checkpoint))[0], "pt") as file:
        types = (file.get_tensor(name).dtype for name in file.keys())  # noqa: SIM118 - a handle, no mapping
        return next(dtype for dtype in types if dtype.is_floating_point)


def _attach(model: Any, checkpoint: CheckpointRef) -> None:
    """Put an adapter checkpoint into its base, under its label."""
    from tasks.algorithms.models import adapters

    try:
        adapters.attach_saved(model, *adapter_files.read_adapter(store.path(checkpoint)), checkpoint.label)
    except ValueError as error:
        raise BadInputError(f"adapter {checkpoint.name}: {error}") from None


def load_pair(target: CheckpointRef, other: CheckpointRef) -> tuple[Any, Any]:
    """Load two models to be compared: an adapter of the target as a second view of the target's own weights, anything
    else as a model.

    Raises:
        BadInputError: If the adapter belongs to another model.
    """
    if not is_adapter(other):
        return load_model(target), load_model(other)
    from tasks.algorithms.models import adapters

    noted = adapter_files.noted_base(store.path(other))
    if noted is None or noted.digest != target.digest:
        raise BadInputError(
            f"adapter {other.name} belongs to another model than {target.name}; wanted one whose base is"
            f" {target.digest[:16]}"
        )
    model = load_model(target)
    _attach(model, other)
    return adapters.AdapterView(model, None), adapters.AdapterView(model, other.label)


def separator_id(tokenizer: Any) -> int | None:
    """Return the token that stands between documents: the end of text, where the tokenizer has one."""
    return tokenizer.eos_token_id


def pad_id(tokenizer: Any) -> int:
    """Return a filler token; it is masked by length, so any token serves."""
    return next((token for token in (tokenizer.pad_token_id, tokenizer.eos_token_id) if token is not None), 0)


def save_checkpoint(
    model: Any,
    tokenizer: Any,
    label: str,
    *,
    sensitivity: Sensitivity,
    origin: str | None,
    beside: Callable[[Path], None] = lambda folder: None,
) -> CheckpointRef:
    """Write a model and its tokenizer to the store, and what `beside` adds to their folder."""

    def write(folder: Path) -> None:
        model.save_pretrained(folder, safe_serialization=True)
        tokenizer.save_pretrained(folder)
        beside(folder)

    digest = store.put("checkpoints", write, sensitivity=sensitivity)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return CheckpointRef(
        kind="checkpoints",
        digest=digest,
        sensitivity=sensitivity,
        parameters=parameters,
        label=label,
        origin=origin or "",
    )


def save_adapter(
    model: Any, tokenizer: Any, name: str, base: CheckpointRef, *, sensitivity: Sensitivity, origin: str | None
) -> CheckpointRef:
    """Write one adapter of a model to the store, with the tokenizer and what its base is."""
    from tasks.algorithms.models import adapters

    noted = adapter_files.Base(digest=base.digest, location=str(store.path(base)), parameters=base.parameters)

    def write(folder: Path) -> None:
        adapter_files.write_adapter(
            folder, adapters.adapter_settings(model, name), adapters.adapter_tensors(model, name), noted
        )
        tokenizer.save_pretrained(folder)

    digest = store.put("checkpoints", write, sensitivity=sensitivity)
    return CheckpointRef(
        kind="checkpoints",
        digest=digest,
        sensitivity=sensitivity,
        parameters=base.parameters,
        label=name,
        origin=origin or "",
    )
