"""Settings of the neurons that carry a fact: how they are found, and how that they do is shown."""

from typing import Literal

from tasks.settings.schema import check_choices, settings

Attribution = Literal["integrated_gradients", "activation_gradient"]
"""Along the way from no activation to the whole; or at its end, activation times gradient."""

Tokens = Literal["subject", "last_subject", "last_token"]


@settings
class NeuronConfig:
    """A fact's neurons: those inside one layer's MLP, before its output matrix."""

    attribution: Attribution = "integrated_gradients"
    """`integrated_gradients`: shares of P(object) that sum to what the layer's neurons do together;
    `activation_gradient`: one pass instead of many, and no such sum."""
    tokens: Tokens = "subject"
    """Where neurons are looked at and set to zero: at all of the subject's tokens, at its last, or at the prompt's
    last, which says the object."""
    points: int = 16
    """Points at which gradients are taken on the way, >= 1; doubled until the shares sum up."""
    most_points: int = 256
    """Points at most, >= `points`."""
    tolerance: float = 0.01
    """How far the sum may be off, as a share of what the layer's neurons do together, > 0."""
    threshold: float = 0.2
    """Share of a prompt's largest attribution from which a neuron counts in that prompt, above 0 to 1."""
    share: float = 0.7
    """Share of the prompts in which a neuron must count, 0 to 1; where none does, those that count in most."""
    most: float = 0.01
    """Share of the layer's neurons that are chosen at most, above 0 to 1; one at least."""
    facts: int = 60
    """Facts whose neurons are looked for, at most, >= 1."""
    draws: int = 10
    """Sets of as many other neurons of the layer that the chosen ones are measured against, >= 1."""
    seed: int = 0
    """Of the draws."""

    def __post_init__(self) -> None:
        check_choices(self, "neurons")
        for name in ("points", "facts", "draws"):
            if getattr(self, name) < 1:
                raise ValueError(f"neurons.{name} is {getattr(self, name)}; wanted a whole number >= 1")
        if self.most_points < self.points:
            raise ValueError(f"neurons.most_points is {self.most_points}; wanted at least points, {self.points}")
        if not self.tolerance > 0:
            raise ValueError(f"neurons.tolerance is {self.tolerance}; wanted a number > 0")
        for name in ("threshold", "most"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"neurons.{name} is {getattr(self, name)}; wanted a number above 0, at most 1")
        if not 0 <= self.share <= 1:
            raise ValueError(f"neurons.share is {self.share}; wanted a number from 0 to 1")
