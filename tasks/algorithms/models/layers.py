"""A language model by its layers: what it holds after one of them, and the names of what it computes with. Layers are
counted from 0.
"""

from collections.abc import Iterable

from torch import Tensor, nn

from tasks.algorithms.models.architectures import decoder_layers, mlp_modules, mlp_weight, tensor_of
from tasks.algorithms.shapes import Float, Int


class _Reached(Exception):  # noqa: N818  (no error: it ends a forward pass early)
    """Carries hidden states out of a forward pass that is over."""

    def __init__(self, hidden: Tensor) -> None:
        super().__init__()
        self.hidden = hidden


def hidden_after(
    model: nn.Module, layer: int, ids: Int[Tensor, "batch seq"], mask: Int[Tensor, "batch seq"]
) -> Float[Tensor, "batch seq hidden"]:
    """Return the residual stream after a layer; no later layer, norm or head is computed.

    Args:
        model: A causal language model.
        layer: Counted from 0.
        ids: Token ids, padded on the right.
        mask: 1 for tokens, 0 for padding.

    Raises:
        ValueError: If there is no such layer, or the model's type is not known.
    """
    layers = decoder_layers(model)
    if not 0 <= layer < len(layers):
        raise ValueError(f"layer is {layer}; wanted 0 to {len(layers) - 1} in a model of {len(layers)} layers")

    def stop(module: nn.Module, inputs: tuple, output: Tensor | tuple) -> None:
        raise _Reached(tensor_of(output))

    handle = layers[layer].register_forward_hook(stop)
    try:
        model.base_model(input_ids=ids, attention_mask=mask, use_cache=False)
    except _Reached as reached:
        return reached.hidden
    finally:
        handle.remove()
    raise ValueError(
        f"{type(model).__name__} ran without layer {layer}; wanted a model that computes all of its layers"
    )


def mlp_output_names(model: nn.Module, layers: Iterable[int]) -> list[str]:
    """Return the parameter names of the MLP output matrices of some layers, without biases.

    Raises:
        ValueError: If the model's type is not known.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(mlp_weight(model, layer))] for layer in layers]


def mlp_parameter_names(model: nn.Module, layers: Iterable[int]) -> list[str]:
    """Return the names of all parameters of the MLPs of some layers, biases among them.

    Raises:
        ValueError: If the model's type is not known, or there is no such layer.
    """
    depth, layers = len(decoder_layers(model)), list(layers)
    if beyond := [layer for layer in layers if not 0 <= layer < depth]:
        raise ValueError(f"layer is {beyond[0]}; wanted 0 to {depth - 1} in a model of {depth} layers")
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [
        names[id(parameter)]
        for layer in layers
        for module in mlp_modules(model, layer)
        for parameter in module.parameters()
    ]


def default_layer(depth: int) -> int:
    """Return l for a model of `depth` layers: as deep as 7 of 32, but with two layers below it where there
    are so many.
    """
    return min(depth - 1, max(2, round(7 / 32 * depth)))
