"""Low-rank adapters on a causal language model: several models on one set of frozen weights, each switched on or off.

    W x  ->  W x + (alpha / rank) B A x,    A random, B zero at first, so a fresh adapter changes nothing

Adapters sit inside the model (peft replaces its linear layers), so the model keeps its class, its two halves (`heads`)
and its names. Only attention and MLP layers get one: embeddings and output head, tied or not, are the base model's own.

Source: Hu et al. 2021, arXiv:2106.09685. Deviation: none; alpha and learning rate by the rules of `LoraConfig`.
"""

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from tasks.algorithms.models.adapter_layers import check_adaptable, model_type
from tasks.settings.training import LoraConfig, TrainingConfig, peak_learning_rate

T = TypeVar("T", bound=TrainingConfig)
SAVED_PREFIX = "base_model.model."
"""What peft's files put before the name of a layer."""


def attach(model: nn.Module, config: LoraConfig, name: str, seed: int) -> None:
    """Put a fresh adapter into `model`, on, in float32, and freeze everything else; its predictions stay the same.

    Args:
        model: Changed in place; it may have other adapters.
        config: Rank, scale and layers.
        name: What the adapter is called; no dots.
        seed: Decides A; the caller's random numbers stay as they were.

    Raises:
        ValueError: As `check_adaptable`, or if there is an adapter of that name.
    """
    if name in adapter_names(model):
        raise ValueError(f"the model has an adapter {name!r} already; wanted another name")
    chosen = check_adaptable(model, config)
    first = model.get_submodule(chosen[0])
    settings = {
        "r": config.rank,
        "lora_alpha": config.numerator,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": _short(model, chosen),
        # GPT-2 keeps its weights as (in, out)
        "fan_in_fan_out": not isinstance(getattr(first, "base_layer", first), nn.Linear),
        "task_type": "CAUSAL_LM",
    }
    _inject(model, settings, name, seed)
    switch(model, name)
    only_trains(model, name)


def _short(model: nn.Module, chosen: list[str]) -> list[str]:
    """Return the last parts of the names where these tell the chosen layers from all others, else the names in full."""
    last = {name.rpartition(".")[2] for name in chosen}
    same = {name for name, _ in model.named_modules() if name.rpartition(".")[2] in last}
    return sorted(last if same == {*chosen} else chosen)


def _inject(model: nn.Module, settings: Mapping[str, Any], name: str, seed: int) -> None:
    from peft import LoraConfig as PeftConfig
    from peft import inject_adapter_in_model

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # several adapters are what is wanted
        warnings.filterwarnings("ignore", message="Already found a `peft_config` attribute")
        torch.manual_seed(seed)
        inject_adapter_in_model(PeftConfig(**settings), model, name)
    for parameter in adapter_parameters(model, name).values():
        parameter.data = parameter.data.float()


def adapter_parameters(model: nn.Module, name: str) -> dict[str, nn.Parameter]:
    """Return the parameters of one adapter under their full names: of every adapted layer A (rank, in) and B (out,
    rank).
    """
    pattern = re.compile(rf"\.lora_[AB]\.{re.escape(name)}\.weight$")
    return {key: parameter for key, parameter in model.named_parameters() if pattern.search(key)}


def adapted_layers(model: nn.Module) -> list[tuple[str, Any]]:
    """Return the layers that carry adapters, by name."""
    return [
        (name, layer)
        for name, layer in model.named_modules()
        if hasattr(layer, "lora_A") and hasattr(layer, "base_layer")
    ]


def adapter_names(model: nn.Module) -> list[str]:
    """Return the names of the adapters in a model."""
    return list(getattr(model, "peft_config", {}))


def only_trains(model: nn.Module, name: str) -> None:
    """Let the parameters of one adapter be trained and no others."""
    model.requires_grad_(False)
    for parameter in adapter_parameters(model, name).values():
        parameter.requires_grad_(True)


def switch(model: nn.Module, name: str | None) -> None:
    """Turn one adapter on and all others off, or all off; what is trained stays as it was.

    Raises:
        KeyError: If there is none of that name.
    """
    if name is not None and name not in adapter_names(model):
        raise KeyError(
            f"the model has no adapter {name!r}; wanted one of"
            f" {', '.join(adapter_names(model)) or 'none, as it has none'}"
        )
    trained = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    for _, layer in adapted_layers(model):
        if name is not None:
            layer.set_adapter([name])
        layer.enable_adapters(name is not None)
    for parameter, requires_grad in trained:
        parameter.requires_grad_(requires_grad)


def switched_on(model: nn.Module) -> str | None:
    """Return the adapter that is on, or None."""
    layer = next((layer for _, layer in adapted_layers(model)), None)
    return None if layer is None or layer.disable_adapters else layer.active_adapters[0]


@contextmanager
def switched(model: nn.Module, name: str | None) -> Iterator[nn.Module]:
    """Switch within the block, as `switch`, and back."""
    before = switched_on(model)
    switch(model, name)
    try:
        yield model
    finally:
        switch(model, before)


class _LowerHalf:
    """A base model that is called through a view, and looked into as it is."""

    def __init__(self, part: nn.Module, run: Callable[..., Any]) -> None:
        self._part, self._run = part, run

    def __call__(self, **inputs: Any) -> Any:
        return self._run(self._part, **inputs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # as copying asks, before there is a part
            raise AttributeError(name)
        return getattr(self._part, name)


class AdapterView(nn.Module):
    """A model as it is with one adapter on, or with none; views of one model share all weights.

    It stands in for a whole model wherever predictions are read: `base_model`, output head, `device` and `forward`.
    Dropout is off in it, even while the model is being trained.
    """

    def __init__(self, model: nn.Module, name: str | None) -> None:
        super().__init__()
        self.model, self.name = model, name

    @property
    def config(self) -> Any:
        """The model's own."""
        return self.model.config

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def base_model(self) -> Callable[..., Any]:
        """The model's lower half, up to its last hidden states."""
        return _LowerHalf(self.model.base_model, self._run)

    def forward(self, **inputs: Any) -> Any:
        """Run the whole model."""
        return self._run(self.model, **inputs)

    def _run(self, part: Callable[..., Any], **inputs: Any) -> Any:
        training = self.model.training
        try:
            with switched(self.model.eval(), self.name):
                return part(**inputs)
        finally:
            self.model.train(training)

    def get_output_embeddings(self) -> nn.Module:
        """Return the output head, which no adapter changes."""
        return self.model.get_output_embeddings()


@torch.no_grad()
def merge(model: nn.Module, name: str) -> None:
    """Add an adapter's update to the weights of `model`, in float32, and take all adapters out; a plain model is left.

    Raises:
        KeyError: If there is none of that name.
    """
    switch(model, name)
    for _, layer in adapted_layers(model):
        weight = layer.base_layer.weight
        weight.copy_(weight.float() + layer.get_delta_weight(name).float())
    take_out(model)


def take_out(model: nn.Module) -> None:
    """Take all adapters out of `model`: the base model is left, to the bit, with every weight trainable."""
    for full_name, layer in adapted_layers(model):
        parent, _, child = full_name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer.base_layer)
    if hasattr(model, "peft_config"):
        del model.peft_config
    model.requires_grad_(True)


def adapter_tensors(model: nn.Module, name: str) -> dict[str, Tensor]:
    """Return a copy of an adapter's weights under the names that peft's files give them."""
    return {key: value.detach().to("cpu", copy=True).contiguous() for key, value in _saved_names(model, name).items()}


def _saved_names(model: nn.Module, name: str) -> dict[str, nn.Parameter]:
    return {
        SAVED_PREFIX + key.replace(f".{name}.weight", ".weight"): value
        for key, value in adapter_parameters(model, name).items()
    }


def adapter_settings(model: nn.Module, name: str) -> dict[str, Any]:
    """Return what peft's adapter_config.json needs to build the adapter again, less the name of its base."""
    settings = model.peft_config[name]
    names = ("r", "lora_alpha", "lora_dropout", "bias", "task_type", "fan_in_fan_out")
    return {
        "peft_type": "LORA",
        "inference_mode": True,
        **{key: getattr(settings, key) for key in names},
        "target_modules": sorted(settings.target_modules),
    }


def attach_saved(model: nn.Module, settings: Mapping[str, Any], tensors: Mapping[str, Tensor], name: str) -> None:
    """Put a saved adapter into `model`, on and frozen.

    Args:
        model: Changed in place; the adapter's base.
        settings: From `adapter_settings`.
        tensors: From `adapter_tensors`.
        name: What the adapter is called here.

    Raises:
        ValueError: If the tensors are not those that this model's layers need.
    """
    _inject(
        model,
        {key: value for key, value in settings.items() if key not in ("peft_type", "base_model_name_or_path")},
        name,
        0,
    )
    own = _saved_names(model, name)
    wrong = sorted({*own} ^ {*tensors}) or [key for key, value in tensors.items() if value.shape != own[key].shape]
    if wrong:
        raise ValueError(
            f"the adapter's tensors do not fit model type {model_type(model)!r}: {wrong[0]}; wanted an adapter of this"
            " model"
        )
    for key, value in tensors.items():
        own[key].data = value.to(own[key].device, torch.float32)
    switch(model, name)
    model.requires_grad_(False)


def adapter_training(config: T, lora: LoraConfig, parameters: int) -> T:
    """Return `config` with the learning rate of adapters: that of whole weights, set or by rule for `parameters`
    weights, times the factor.
    """
    return replace(config, learning_rate=lora.rate_factor * peak_learning_rate(config, parameters))
