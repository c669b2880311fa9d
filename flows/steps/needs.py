"""What a run needs of memory and disk, by the shape of its model and the amount of its text.

Arithmetic alone: no weights are read, so that it can be done for a model that is not there. Weights and stored states
count as float32, also where a model is stored in half precision; activations, which go with the size of a batch, do
not count.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks import store
from tasks.artifacts import CheckpointRef
from tasks.models.checkpoints import config_folder
from tasks.settings.evaluation import MethodConfig
from tasks.settings.selective_unlearning import SelectiveUnlearningConfig

FLOAT32, FLOAT64, GIGABYTE = 4, 8, 1e9
"""Bytes of a number, and of a gigabyte."""


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """The sizes of a decoder that its needs follow from."""

    parameters: int
    hidden: int
    """Numbers in a state of the residual stream."""
    inner: int
    """Numbers that the second matrix of an MLP reads."""
    layers: int

    @property
    def weights(self) -> float:
        """Gigabytes of one copy."""
        return FLOAT32 * self.parameters / GIGABYTE

    @property
    def state(self) -> float:
        """Gigabytes of a token's last hidden state."""
        return FLOAT32 * self.hidden / GIGABYTE


@dataclass(frozen=True, kw_only=True)
class Needs:
    """Gigabytes."""

    memory: float
    """Of the device that computes: of the GPU where there is one, else of the machine."""
    disk: float


def model_shape(config: Any, parameters: int) -> ModelShape:
    """Return the shape that a configuration of transformers describes.

    Args:
        config: The configuration; that of a model of more than text holds the text model's.
        parameters: How many weights the model has.
    """
    text = config.get_text_config()
    named = (getattr(text, name, None) for name in ("intermediate_size", "ffn_dim", "n_inner"))
    inner = next((size for size in named if size), 4 * text.hidden_size)
    return ModelShape(parameters=parameters, hidden=text.hidden_size, inner=inner, layers=text.num_hidden_layers)


def shape_of(checkpoint: CheckpointRef) -> ModelShape:
    """Return a checkpoint's shape, of an adapter its base's; no weights are loaded."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(config_folder(checkpoint), local_files_only=True, trust_remote_code=False)
    return model_shape(config, checkpoint.parameters)


def unlearning_needs(shape: ModelShape, tokens: Mapping[str, int], config: MethodConfig) -> Needs:
    """Return what a method that trains needs.

    Args:
        shape: Of the target model.
        tokens: Split -> tokens; the forget and the retain text count.
        config: Says whether an adapter is trained in place of all weights, whether a distillation follows, and
            whether models are taught again what they were to forget.
    """
    forget, retain = tokens.get("forget", 0), tokens.get("retain", 0)
    adapted, distillation = bool(config.lora and config.lora.rank), config.distillation
    distilled = distillation.noise_alpha > 0
    # what a model writes itself stands where there is less; a distillation has states of its own
    written = distillation.self_written_blocks * distillation.block_size
    spoken_of = distilled * (max(retain, written) + distillation.forget_text * forget)
    states = shape.state * (2 * forget + max(retain, _self_written(config)) + spoken_of)
    # one base, and a copy where the adapter is merged; unlearned and registered model
    copies = (2, 2) if adapted else (7, 3)
    # student, gradients, two moments, best copy, two frozen models (in a distillation: one head); states are read a
    # batch at a time. Relearning, of two models side by side, trains all weights whatever the method did
    memory = max(copies[0], 6 * distilled, 8 * bool(config.relearning.steps)) * shape.weights
    # models, labels with a copy of one side while written, teacher states
    disk = (copies[1] + distilled) * shape.weights + states + shape.state * forget
    return Needs(memory=memory, disk=disk)


def _self_written(config: MethodConfig) -> int:
    """Return up to how many tokens of retain text a method has the target model write."""
    if not isinstance(config, SelectiveUnlearningConfig) or not config.finetune.retain_weight:
        return 0
    return config.finetune.self_written_blocks * config.labels.block_size


def editing_needs(shape: ModelShape) -> Needs:
    """Return what rank-one editing needs: it grows with the model, hardly with the text.

    Args:
        shape: Of the model that is edited.
    """
    moments = shape.layers * shape.inner**2 / GIGABYTE
    # the trace runs beside the second moments, each with a model; of the moments there are sums over even and over odd
    # rows, over both, and the mean
    memory = 2 * shape.weights + 4 * FLOAT64 * moments
    # edited and registered model
    disk = 2 * shape.weights + FLOAT32 * moments
    return Needs(memory=memory, disk=disk)


def beside_what_is_there(needs: Needs) -> dict[str, tuple[float, float]]:
    """Return `memory` and `disk` -> gigabytes needed, and there now: memory of this machine, not of a GPU, and disk
    where the store is.
    """
    import psutil

    there = {"memory": psutil.virtual_memory().available, "disk": shutil.disk_usage(store.home()).free}
    return {name: (getattr(needs, name), size / GIGABYTE) for name, size in there.items()}
