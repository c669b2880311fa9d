"""Editing by knowledge neurons: what the few neurons of a fact write is moved from one word to another.

    w_i' = w_i - lambda_1 e(object) + lambda_2 e(target)        for each neuron i that was found for the fact

w_i is the neuron's row of the MLP's output matrix, what it writes to the residual stream when it fires, and e a word's
embedding where the model reads it off: a row of the output head. An object of several tokens is their mean.

Source: Dai et al. 2022, arXiv:2104.08696 (lambda_1 = 1, lambda_2 = 8, neurons of all layers, at the position that says
the object). Deviation: its models tie both embeddings and its objects are single tokens.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tasks.algorithms.editing.neurons import choose, find_neurons
from tasks.algorithms.editing.prompts import EditPrompt
from tasks.algorithms.editing.rome import Update
from tasks.algorithms.models.architectures import is_transposed, mlp_output, mlp_weight
from tasks.algorithms.models.heads import output_head
from tasks.algorithms.shapes import Float
from tasks.settings.edit_baselines import KnowledgeNeuronConfig


def knowledge_neuron_updates(
    model: nn.Module,
    prompts: Sequence[EditPrompt],
    target: Sequence[int],
    layers: Sequence[int],
    config: KnowledgeNeuronConfig,
) -> list[Update]:
    """Return the updates that move a fact's neurons to another object.

    Args:
        model: A causal language model of a known type, in evaluation mode; it is left as it was.
        prompts: The fact in one or more wordings, each with its old object.
        target: Tokens of the new object.
        layers: The layers whose neurons are looked at.
        config: How neurons are found, and lambda_1 and lambda_2.

    Returns:
        An update for each layer that has some of the fact's neurons, of as many ranks; none where no neuron was found.

    Raises:
        ValueError: If a prompt has no object, or the head reads another width than the layers write.
    """
    found = torch.cat([find_neurons(model, prompts, layer, config.neurons).attribution for layer in layers], dim=1)
    inner = found.shape[1] // len(layers)
    moved = config.target_weight * _embedding(model, target) - config.object_weight * _embedding(
        model, prompts[0].target
    )
    by_layer: dict[int, list[int]] = {}
    for number in choose(found, config.neurons):
        by_layer.setdefault(layers[number // inner], []).append(number % inner)
    return [_moved(model, layer, by_layer[layer], moved) for layer in sorted(by_layer)]


def _moved(model: nn.Module, layer: int, neurons: list[int], moved: Float[Tensor, " hidden"]) -> Update:
    """Return the update that adds one vector to what each of these neurons writes."""
    weight = mlp_weight(model, layer)
    hidden, inner = reversed(weight.shape) if is_transposed(mlp_output(model, layer)) else weight.shape
    if hidden != len(moved):
        raise ValueError(
            f"the head of {type(model).__name__} reads {len(moved)} numbers and its layers write {hidden}; wanted as"
            " many, since words are added to what neurons write"
        )
    right = torch.zeros(inner, len(neurons), dtype=moved.dtype, device=moved.device)
    right[neurons, range(len(neurons))] = 1
    return Update(layer=layer, left=moved[:, None].repeat(1, len(neurons)), right=right)


def _embedding(model: nn.Module, tokens: Sequence[int]) -> Float[Tensor, " hidden"]:
    return output_head(model).weight.detach()[list(tokens)].mean(dim=0)
