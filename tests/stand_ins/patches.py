"""Base models with random patches, as folders and in the store."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from tasks.algorithms.editing.rome import Update
from tasks.artifacts import CheckpointRef, EditPatch
from tasks.models.checkpoints import inspect_model
from tasks.models.patch_files import write_patch
from tasks.settings.edit_request import EditRequest
from tasks.storage.edit_files import write_edits

SHAPES = {"gpt2": (32, 128), "llama": (32, 64)}
"""Hidden and inner size of the tiny models."""


def random_update(seed: int, layer: int = 0, rank: int = 1, shape: tuple[int, int] = SHAPES["gpt2"]) -> Update:
    """Return an update whose effect on a tiny model is plain to see."""
    drawn = torch.Generator().manual_seed(seed)
    left, right = (torch.randn(size, rank, generator=drawn) * 0.2 for size in shape)
    return Update(layer=layer, left=left, right=right)


def as_folder(model: Any, tokenizer: PreTrainedTokenizerFast, folder: Path) -> CheckpointRef:
    """Write a model folder as a user has one."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return inspect_model(str(folder), "target")


def put_patch(
    base: CheckpointRef, *updates: Update, on: tuple[EditPatch, ...] = (), kind: str = "gpt2", edits: int = 1
) -> EditPatch:
    """Put a patch into the store, with made-up requests."""
    requests = [
        EditRequest(subject=f"Velmora {number}", prompt="{} lies in", target="Ostrin [1]", object="Brindlewick")
        for number in range(edits)
    ]
    return write_patch(
        updates,
        lambda file: write_edits(file, requests),
        base=base,
        model_type=kind,
        computed_on=tuple(patch.digest for patch in on),
        settings="f00d",
    )


def logits(model: Any) -> Tensor:
    """Return what a model says of a few fixed tokens, with dropout off."""
    ids = torch.arange(5, 45).view(4, 10)
    with torch.no_grad():
        return model.eval()(input_ids=ids).logits


def reloaded(folder: Path) -> Any:
    """Load a model folder by transformers alone."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
