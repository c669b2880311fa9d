"""Where a decoder keeps its layers and the matrices that write to its residual stream: one row a `config.model_type`.

Editing and tracing look at the outputs of these matrices, not of the modules around them: Bloom's modules add the
residual stream themselves, so theirs are other numbers.
"""

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The names of one model type; paths are dotted."""

    layers: str
    """From the base model to the list of its layers."""
    mlp_output: str
    """From a layer to the second matrix of its MLP."""
    mlp_input: str = ""
    """From a layer to the first, where the MLP is no module of its own."""
    attention_output: str
    """From a layer to the output matrix of its attention."""
    normed_after: bool = False
    """Whether the MLP's output is normalised before it is added."""
    editable: bool = True
    """Whether the MLP is one matrix that can be edited, and not one an expert."""
    returns_tuple: bool = False
    """Whether a layer returns its states in a tuple."""
    told_positions: bool = True
    """Whether the model is told where tokens stand; else it reads it off the mask."""


_LLAMA = Architecture(layers="layers", mlp_output="mlp.down_proj", attention_output="self_attn.o_proj")
_GPT2 = Architecture(layers="h", mlp_output="mlp.c_proj", attention_output="attn.c_proj")
ARCHITECTURES = {
    "gpt2": _GPT2,
    "gpt_neo": Architecture(
        layers="h", mlp_output="mlp.c_proj", attention_output="attn.attention.out_proj", returns_tuple=True
    ),
    "gptj": Architecture(layers="h", mlp_output="mlp.fc_out", attention_output="attn.out_proj", returns_tuple=True),
    "gpt_neox": Architecture(layers="layers", mlp_output="mlp.dense_4h_to_h", attention_output="attention.dense"),
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "gemma", "phi3"), _LLAMA),
    "gemma3_text": Architecture(
        layers="layers", mlp_output="mlp.down_proj", attention_output="self_attn.o_proj", normed_after=True
    ),
    "phi": Architecture(layers="layers", mlp_output="mlp.fc2", attention_output="self_attn.dense"),
    "opt": Architecture(
        layers="decoder.layers", mlp_output="fc2", mlp_input="fc1", attention_output="self_attn.out_proj"
    ),
    "bloom": Architecture(
        layers="h",
        mlp_output="mlp.dense_4h_to_h",
        attention_output="self_attention.dense",
        returns_tuple=True,
        told_positions=False,
    ),
    "mixtral": Architecture(
        layers="layers", mlp_output="mlp.experts", attention_output="self_attn.o_proj", editable=False
    ),
}
"""`config.model_type` -> names."""
EXPERTS_OUTPUT = "down_proj"
"""Where a module of experts keeps their second matrices, stacked in one tensor."""


def architecture(model: nn.Module) -> Architecture:
    """Return a causal language model's names.

    Raises:
        ValueError: If its type is not in the table; the known ones are listed.
    """
    kind = model_type(model)
    if kind not in ARCHITECTURES:
        raise ValueError(f"model type {kind!r} is not known by its layers; wanted one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[kind]


def require_editable(kind: str) -> None:
    """Refuse a model type whose facts cannot be edited.

    Raises:
        ValueError: If it is not known, or its MLPs are experts; those that can be are listed.
    """
    if kind not in ARCHITECTURES or not ARCHITECTURES[kind].editable:
        wanted = ", ".join(name for name, each in ARCHITECTURES.items() if each.editable)
        raise ValueError(f"model type {kind!r} cannot be edited; wanted one of {wanted}")


def model_type(model: nn.Module) -> str:
    """Return what transformers calls the architecture."""
    return getattr(getattr(model, "config", None), "model_type", type(model).__name__)


def decoder_layers(model: nn.Module) -> nn.ModuleList:
    """Return a causal language model's layers.

    Raises:
        ValueError: If its type is not known.
    """
    return model.base_model.get_submodule(architecture(model).layers)


def mlp_output(model: nn.Module, layer: int) -> nn.Module:
    """Return the second matrix of a layer's MLP, which writes to the residual stream."""
    return decoder_layers(model)[layer].get_submodule(architecture(model).mlp_output)


def mlp_modules(model: nn.Module, layer: int) -> list[nn.Module]:
    """Return what a layer's MLP computes with: all of it, or, of a model of experts, the experts without what chooses
    among them.
    """
    kind, block = architecture(model), decoder_layers(model)[layer]
    paths = [kind.mlp_input, kind.mlp_output] if kind.mlp_input else [kind.mlp_output.rpartition(".")[0]]
    return [block.get_submodule(path) for path in (paths if kind.editable else [kind.mlp_output])]


def attention_output(model: nn.Module, layer: int) -> nn.Module:
    """Return the output matrix of a layer's attention."""
    return decoder_layers(model)[layer].get_submodule(architecture(model).attention_output)


def last_writers(model: nn.Module) -> list[nn.Module]:
    """Return the modules of the last layer that write to the residual stream, each with all that it computes for one
    position from that position alone: the attention's output matrix, and the MLP where it is a module of its own.
    """
    depth, kind = len(decoder_layers(model)), architecture(model)
    mlp = kind.mlp_output.rpartition(".")[0]
    found = [attention_output(model, depth - 1)]
    return [*found, decoder_layers(model)[depth - 1].get_submodule(mlp)] if mlp and kind.editable else found


def mlp_weight(model: nn.Module, layer: int) -> nn.Parameter:
    """Return the weight of a layer's MLP output matrix: GPT-2's is (inner, hidden), the others' (hidden, inner); a
    model of experts has all of theirs in one tensor.
    """
    module = mlp_output(model, layer)
    return module.weight if hasattr(module, "weight") else getattr(module, EXPERTS_OUTPUT)


def added_as_is(model: nn.Module) -> bool:
    """Return whether what a layer's MLP writes is a summand of what the next layer reads: Gemma 3 normalises the
    output, OPT-350m the sum.
    """
    return not architecture(model).normed_after and getattr(model.config, "do_layer_norm_before", True)


def is_transposed(module: nn.Module) -> bool:
    """Return whether a matrix is stored as (inputs, outputs), as GPT-2's are."""
    return type(module).__name__ == "Conv1D"


def tensor_of(output: Tensor | tuple) -> Tensor:
    """Return the hidden states of what a layer returns: some return them alone, some a tuple."""
    return output if isinstance(output, Tensor) else output[0]
