"""Settings of the ways to edit that rank-one editing is measured against: fine-tuning, knowledge neurons, MEND."""

import math

from tasks.settings.neurons import NeuronConfig
from tasks.settings.schema import settings

MEND_LAYERS = 3
"""Layers that MEND edits where none are named: the last ones, as in the paper."""


def _require_count(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} is {value}; wanted a whole number >= 1")


def _require_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} is {value}; wanted a number > 0")


def _require_layer(name: str, value: int | None) -> None:
    if value is not None and value < 0:
        raise ValueError(f"{name} is {value}; wanted a number >= 0, or none")


@settings
class EditFinetuningConfig:
    """FT and FT-L: gradient descent on the output matrix of one layer's MLP."""

    layer: int | None = None
    """Layer that is trained, counted from 0; none: the one that is edited otherwise."""
    learning_rate: float = 5e-4
    """Of Adam, > 0."""
    steps: int = 25
    """Steps at most, >= 1."""
    stop_nats: float = 0.01
    """Loss of the target, nats a token, below which training stops, >= 0."""
    largest_change: float | None = None
    """How far any one weight may move, in the weight's unit, > 0: FT-L; none: as far as it goes, FT."""

    def __post_init__(self) -> None:
        _require_layer("edit_finetuning.layer", self.layer)
        _require_positive("edit_finetuning.learning_rate", self.learning_rate)
        _require_count("edit_finetuning.steps", self.steps)
        if not 0 <= self.stop_nats < math.inf:
            raise ValueError(f"edit_finetuning.stop_nats is {self.stop_nats}; wanted a number >= 0")
        if self.largest_change is not None:
            _require_positive("edit_finetuning.largest_change", self.largest_change)


@settings
class KnowledgeNeuronConfig:
    """Knowledge neurons: what a fact's neurons write is moved from the old object's word to the new one's."""

    neurons: NeuronConfig = NeuronConfig(tokens="last_token")
    """How the neurons are found, over all layers together."""
    object_weight: float = 1.0
    """How much of the old object's embedding is taken away from each, >= 0."""
    target_weight: float = 8.0
    """How much of the new object's is added, >= 0."""

    def __post_init__(self) -> None:
        for name in ("object_weight", "target_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"knowledge_neurons.{name} is {getattr(self, name)}; wanted a number >= 0")


@settings
class MendConfig:
    """MEND: a small network that makes an edit of a gradient, and how it is trained."""

    layers: tuple[int, ...] | None = None
    """Layers whose MLP output matrix is edited, counted from 0; none: the last three."""
    rank: int = 64
    """Width inside the network, >= 1; the paper's is 1920 for models of a billion parameters."""
    learning_rate: float = 3e-3
    """Of Adam, for the network, > 0."""
    rate_learning_rate: float = 1e-2
    """The same for the logarithms of the layers' edit rates, > 0."""
    edit_rate: float = 1e-2
    """Edit rate at the start: what the network's output is multiplied by, > 0."""
    edit_weight: float = 1.0
    """Weight of the target's loss beside KL(before || after) of what is to stay, > 0. With the paper's 0.1 fewer edits
    of held-out facts take in a small world (5 of 10 against 8), and no more stays."""
    steps: int = 1000
    """Training steps, >= 1."""
    batch: int = 16
    """Edits in one step, each made alone, >= 1."""
    clip_norm: float = 1.0
    """Length of the gradient at most, > 0; the paper's code has 100, at which single edits throw small networks
    back."""
    objects: int = 5
    """New objects that each fact is given to learn from, at most, >= 1: those that other facts of its relation have."""
    seed: int = 0
    """Of weights and batches."""

    def __post_init__(self) -> None:
        for name in ("rank", "steps", "batch", "objects"):
            _require_count(f"mend.{name}", getattr(self, name))
        for name in ("learning_rate", "rate_learning_rate", "edit_rate", "edit_weight", "clip_norm"):
            _require_positive(f"mend.{name}", getattr(self, name))
        if self.layers is not None and list(self.layers) != sorted({layer for layer in self.layers if layer >= 0}):
            raise ValueError(f"mend.layers is {self.layers}; wanted numbers >= 0, the lowest first, or none")
        if self.layers == ():
            raise ValueError("mend.layers is empty; wanted one or more, or none for the last three")


@settings
class EditBaselinesConfig:
    """The ways to edit that stand beside ROME and MEMIT in the table."""

    finetuning: EditFinetuningConfig = EditFinetuningConfig()
    """FT."""
    constrained: EditFinetuningConfig = EditFinetuningConfig(largest_change=5e-3, steps=50)
    """FT-L. The paper's bound of 5e-4 is for layers of 6,400 neurons, whose small changes add up; on the fact model's
    of 512 it edits nothing, and this one keeps most neighbors."""
    knowledge_neurons: KnowledgeNeuronConfig = KnowledgeNeuronConfig()
    """The one that starts from interpretation."""
    mend: MendConfig = MendConfig()
    """The one that learns to edit."""
