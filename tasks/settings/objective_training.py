"""How a student is trained by an objective, whichever it is; what names objectives stands in `gradient_unlearning`,
which no stage reaches.
"""

from tasks.settings.schema import check_choices, settings
from tasks.settings.training import GuardMode, Teacher, TrainingConfig


@settings
class UnlearningConfig(TrainingConfig):
    """How the student is trained, whatever the objective."""

    rate_at_7b: float = 1e-5
    """The rule's learning rate for seven billion parameters: what TOFU's baselines use."""
    rate_exponent: float = 0.4
    """The rule is rate_at_7b * (7e9 / N) ** rate_exponent."""
    least_steps: int = 80
    """Optimiser steps that are taken at least, in further passes where the forget text is short."""
    batch_blocks: int = 16
    """Forget rows in one forward pass, >= 1: questions with their answers, or windows of prose."""
    retain_batch: int = 16
    """Retain rows beside them, >= 1."""
    teacher: Teacher = "cached"
    """`cached`: what the frozen model says is computed once; `live`: it is kept in memory and asked in every step, to
    the same numbers."""
    validate_every: int = 20
    """Optimiser steps between validations."""
    validation_share: float = 0.05
    """Share of the retain rows that is kept for validation, 256 at most, 0 to 0.5; 0 trains to the end without a
    look."""
    validation_rows: int = 32
    """Forget rows, evenly spaced, that a validation scores, >= 1."""
    utility_floor: float = 0.1
    """Rise of the loss on the retain slice, in nats a token, above which a checkpoint is not acceptable, > 0."""
    guard: GuardMode = "steer"
    """`steer` lets the student answer a few prompts at every validation, and a checkpoint that says nothing, loops or
    recites strangers is not acceptable; `watch` logs what it finds, no more; `off`."""
    stop_probability: float = 0.02
    """Mean probability of the forget rows' tokens at which there is nothing left to do, 0 to 1: a checkpoint is scored
    by what is above."""

    def __post_init__(self) -> None:
        check_choices(self, "training")
        super().__post_init__()
        for name, least in {"retain_batch": 1, "validation_rows": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"training.{name} is {getattr(self, name)}; wanted a whole number >= {least}")
        if not 0 <= self.validation_share <= 0.5:
            raise ValueError(f"training.validation_share is {self.validation_share}; wanted a number from 0 to 0.5")
        if not 0 <= self.stop_probability <= 1:
            raise ValueError(f"training.stop_probability is {self.stop_probability}; wanted a number from 0 to 1")
        if not self.utility_floor > 0:
            raise ValueError(f"training.utility_floor is {self.utility_floor}; wanted a number > 0")
