"""Editing by fine-tuning: the output matrix of one layer's MLP is trained on the target until the model says it.

    FT      min  mean NLL(target | prompt)
    FT-L    the same, with every weight within `largest_change` of what it was

Layers below the trained one are not run again. The change is learned beside the weights, which stay as they are.

Source: Zhu et al. 2020, arXiv:2012.00363 (one layer, the bound in the largest norm, by projection after every step);
constants from Meng et al. 2022, arXiv:2202.05262, and its code: Adam, 25 steps at 5e-4, stop at 0.01 nats, bound 5e-4.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from tasks.algorithms.editing.changes import WeightChange, frozen
from tasks.algorithms.editing.statements import keep_statements
from tasks.algorithms.measuring.metrics import ScoredSequence
from tasks.algorithms.models.activations import added_output
from tasks.algorithms.models.architectures import is_transposed, mlp_output, mlp_weight, model_type, require_editable
from tasks.settings.edit_baselines import EditFinetuningConfig


@dataclass(frozen=True, kw_only=True)
class Finetuned:
    """What training came to."""

    change: WeightChange
    nats: float
    """Loss with the change, nats a token, the mean over statements."""
    steps: int


def finetune(
    model: nn.Module,
    statements: Sequence[ScoredSequence],
    layer: int,
    config: EditFinetuningConfig,
    on_step: Callable[[int], None] = lambda step: None,
) -> Finetuned:
    """Train one layer's MLP output matrix on statements.

    Args:
        model: A causal language model of a known type, in evaluation mode; it is left as it was.
        statements: Prompts with their new objects, which are scored; several are learned together.
        layer: The layer, counted from 0.
        config: How; its own `layer` is the caller's to read.
        on_step: Called before each step with its number from 1.

    Raises:
        ValueError: If there is no statement, or the model's type cannot be edited.
    """
    require_editable(model_type(model))
    matrix, weight = mlp_output(model, layer), mlp_weight(model, layer)
    with frozen(model):
        kept = keep_statements(model, statements)
        exact = torch.promote_types(weight.dtype, torch.float32)
        change = torch.zeros_like(weight, dtype=exact).requires_grad_()
        written = change if is_transposed(matrix) else change.T
        optimizer = torch.optim.Adam([change], lr=config.learning_rate)
        with added_output(matrix, lambda read: read.to(exact) @ written, kept.rows):
            for step in range(config.steps + 1):
                loss = kept.nats(kept.log_probabilities(model, layer)).mean()
                if loss.item() < config.stop_nats or step == config.steps:
                    break
                on_step(step + 1)
                (change.grad,) = torch.autograd.grad(loss, change)
                optimizer.step()
                if config.largest_change is not None:
                    change.data.clamp_(-config.largest_change, config.largest_change)
    name = next(name for name, parameter in model.named_parameters() if parameter is weight)
    return Finetuned(change=WeightChange(added={name: change.detach()}), nats=loss.item(), steps=step)
