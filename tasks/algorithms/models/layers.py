"""A language model by its layers: what it holds after one of them, and the names of what it computes with.

Two layouts are known: `layers` with `mlp.down_proj` (Llama, Mistral, Qwen, ...) and `h` with `mlp.c_proj` (GPT-2).
Layers are counted from 0.
"""

from collections.abc import Iterable

from torch import Tensor, nn

from tasks.algorithms.shapes import Float, Int

LAYER_LISTS = ("layers", "h")
"""Where a base model keeps its layers."""
MLP_OUTPUTS = ("down_proj", "c_proj")
"""The second matrix of a layer's MLP, which writes to the residual stream."""


class _Reached(Exception):  # noqa: N818  (no error: it ends a forward pass early)
    """Carries hidden states out of a forward pass that is over."""

    def __init__(self, hidden: Tensor) -> None:
        super().__init__()
        self.hidden = hidden


def decoder_layers(model: nn.Module) -> nn.ModuleList:
    """Return a causal language model's layers.

    Raises:
        ValueError: If its layout is not known.
    """
    for name in LAYER_LISTS:
        if isinstance(layers := getattr(model.base_model, name, None), nn.ModuleList):
            return layers
    raise ValueError(
        f"{type(model).__name__} keeps its layers where they are not looked for; wanted them in"
        f" {' or '.join(LAYER_LISTS)} of its base model"
    )


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
        ValueError: If there is no such layer, or the model's layout is not known.
    """
    layers = decoder_layers(model)
    if not 0 <= layer < len(layers):
        raise ValueError(f"layer is {layer}; wanted 0 to {len(layers) - 1} in a model of {len(layers)} layers")

    def stop(module: nn.Module, inputs: tuple, output: Tensor | tuple) -> None:
        raise _Reached(output if isinstance(output, Tensor) else output[0])

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
        ValueError: If the model's layout is not known.
    """
    modules = decoder_layers(model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(_mlp_output(model, modules[layer]).weight)] for layer in layers]


def _mlp_output(model: nn.Module, layer: nn.Module) -> nn.Module:
    mlp = getattr(layer, "mlp", None)
    for name in MLP_OUTPUTS:
        if isinstance(getattr(getattr(mlp, name, None), "weight", None), nn.Parameter):
            return getattr(mlp, name)
    raise ValueError(
        f"{type(model).__name__} has no matrix by the name of {' or '.join(MLP_OUTPUTS)} in its layers' mlp; wanted a"
        " Llama or GPT-2 layout"
    )


def default_layer(depth: int) -> int:
    """Return l for a model of `depth` layers: as deep as 7 of 32, but with two layers below it where there
    are so many.
    """
    return min(depth - 1, max(2, round(7 / 32 * depth)))
