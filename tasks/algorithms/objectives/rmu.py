"""Representation misdirection: forget text is made to mean a random direction to one layer, retain text what it meant
before.

    loss = MSE(h_l(F), c u)  +  alpha MSE(h_l(R), h0_l(R))

h_l are the student's hidden states after layer l, h0_l the target model's; u is a random unit vector, the same
throughout. MSE is the mean over hidden dimensions, then over counted tokens; not nats, but squared activations. The
pass ends at layer l: no later layer and no head is computed. Only the MLP output matrices of layers l-2 to l are
trained, unless others are named. Bounded below by 0.

Source: Li et al. 2024, WMDP, arXiv:2403.03218; entries of u uniform in [0, 1) before it is scaled to length 1; c = 6.5
and alpha = 1200 at l = 7 of 32 layers of Zephyr-7B [recalled]: c has the unit of a model's own activations, so set it
for yours. Deviations: the default layer of other depths, see `default_layer`; tokens that are padding or not supervised
do not count.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tasks.algorithms.models.architectures import decoder_layers
from tasks.algorithms.models.layers import default_layer, hidden_after, mlp_output_names
from tasks.algorithms.objectives import terms
from tasks.algorithms.objectives.two_terms import Term, TwoTerms
from tasks.algorithms.shapes import Float
from tasks.settings.objectives.rmu import RMUConfig


class RMU(TwoTerms):
    """Send the forget text's hidden states astray, hold the retain text's."""

    config_type = RMUConfig

    def layer(self, model: nn.Module) -> int:
        """Return l, counted from 0: after which layer of this model hidden states are compared (and cached).

        Raises:
            ValueError: If the model has no such layer, or its layout is not known.
        """
        depth = len(decoder_layers(model))
        layer = default_layer(depth) if self.config.layer is None else self.config.layer
        if layer >= depth:
            raise ValueError(f"layer is {layer}; wanted 0 to {depth - 1} in a model of {depth} layers")
        return layer

    def trainable(self, model: nn.Module) -> list[str]:
        """Return the names of the parameters that are to be trained; the others are to be frozen.

        Raises:
            ValueError: If a layer is named that the loss cannot reach.
        """
        layer = self.layer(model)
        trained = self.config.trained_layers or tuple(range(max(0, layer - 2), layer + 1))
        if max(trained) > layer:
            raise ValueError(f"trained_layers is {trained}; wanted none above layer {layer}, where the pass ends")
        return mlp_output_names(model, trained)

    def forget_term(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> Term:
        """Return the mean over counted tokens, in squared activations, also as `forget_mse`.

        Args:
            student: The model that is trained.
            batch: `ids`, `mask`, `supervised` of forget rows, (batch, seq).
            cached: Not used.
        """
        hidden = self._hidden(student, batch, "")
        forget = _mean_square(hidden - self.config.c * unit_vector(hidden.shape[-1], self.config.seed).to(hidden))
        return forget, {"forget_mse": forget.detach()}

    def retain_term(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> Term | None:
        """Return alpha times the mean over counted tokens of the retain rows, and the mean as `retain_mse`; none where
        there are no such rows or alpha is 0.

        Args:
            student: The model that is trained.
            batch: `retain_ids`, `retain_mask`, `retain_supervised`, (batch, seq).
            cached: `retain_layer_hidden`, (batch, seq, hidden): the target's states after layer l of the retain rows.
        """
        if "retain_ids" not in batch or not self.config.alpha:
            return None
        counted = terms.counted_positions(batch["retain_mask"], batch["retain_supervised"])
        retain = _mean_square(self._hidden(student, batch, "retain_") - cached["retain_layer_hidden"][:, :-1][counted])
        return self.config.alpha * retain, {"retain_mse": retain.detach()}

    def _hidden(self, student: nn.Module, batch: Mapping[str, Tensor], prefix: str) -> Float[Tensor, "rows hidden"]:
        ids, mask = batch[f"{prefix}ids"], batch[f"{prefix}mask"]
        counted = terms.counted_positions(mask, batch[f"{prefix}supervised"])
        return hidden_after(student, self.layer(student), ids, mask)[:, :-1][counted].float()


def unit_vector(size: int, seed: int) -> Float[Tensor, " hidden"]:
    """Return a random vector of length 1 with no negative entries, a function of size and seed alone."""
    vector = torch.rand(size, generator=torch.Generator().manual_seed(seed))
    return vector / vector.norm()


def _mean_square(gap: Float[Tensor, "rows hidden"]) -> Float[Tensor, ""]:
    return terms.mean(gap.square().mean(dim=-1))
