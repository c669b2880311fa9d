"""Settings of noise and distillation, which may follow any method that changes weights."""

from tasks.settings.schema import check_choices, settings
from tasks.settings.training import Schedule, TrainingConfig


@settings
class DistillationConfig(TrainingConfig):
    """How an unlearned model is noised and taught anew by itself as it was before the noise (UNDO, Lee et al. 2025,
    arXiv:2506.06278): what it did not show is not taught.
    """

    noise_alpha: float = 0.0
    """alpha: share of every weight that is given up for noise, 0 to 1, less than 1. The more, the less comes back by
    relearning, and the more steps it takes to regain what is to be kept; 0: no noise and no distillation."""
    noise_beta: float = 0.1
    """beta: scale of the noise, whose unit is a fresh initialisation, >= 0; at 0 weights only shrink."""
    steps: int = 400
    """Optimiser steps, >= 1, whatever `epochs` and `least_steps` say: the cost is the same for any amount of text."""
    block_size: int = 256
    """Tokens of a block, >= 16."""
    text_share: float = 0.0
    """How much the token that does follow counts on the retain text, self-written text included, next to what the
    unlearned model says, 0 to 1: more of that text is kept, and less of what it does not tell of; 0: the unlearned
    model alone, as in the source work."""
    forget_text: bool = True
    """Whether the student imitates what the unlearned model says of the forget text too, as in the source work; on the
    retain text alone it would be left to guess there."""
    self_written_blocks: int = 256
    """Blocks of text in all, >= 0: where the retain text is less, the target model writes what is lacking, and what it
    writes is thrown away where it names the topic; 0: the retain text alone."""
    # of TOFU's authors each is told of in one or two blocks: one block in twenty held back was a share of what was kept
    held_share: float = 0.01
    """Share of the blocks that training is looked at by, 256 at most, above 0 to 0.5; they are not trained on."""
    rate_at_7b: float = 1e-5
    """The rule's learning rate for seven billion parameters."""
    rate_exponent: float = 0.6
    """The rule is rate_at_7b * (7e9 / N) ** rate_exponent; it meets the source work's 2e-5 at 2.6 billion."""
    schedule: Schedule = "cosine"
    """Course of the learning rate after warm-up."""
    validate_every: int = 50
    """Optimiser steps between validations."""
    # on TOFU a student that learned at three quarters of the peak rate came no nearer for three validations, though
    # half of its steps were to come
    patience: int = 1_000_000
    """Validations without improvement after which training stops: none, since it comes nearest where the rate is
    low."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self, "distillation")
        if not 0 <= self.noise_alpha < 1:
            raise ValueError(
                f"distillation.noise_alpha is {self.noise_alpha}; wanted a number from 0 to 1, less than 1"
            )
        if not 0 <= self.noise_beta < float("inf"):
            raise ValueError(f"distillation.noise_beta is {self.noise_beta}; wanted a number >= 0")
        if not 0 <= self.text_share <= 1:
            raise ValueError(f"distillation.text_share is {self.text_share}; wanted a number from 0 to 1")
        for name, least in {"steps": 1, "block_size": 16, "self_written_blocks": 0}.items():
            if getattr(self, name) < least:
                raise ValueError(f"distillation.{name} is {getattr(self, name)}; wanted a whole number >= {least}")
        if not 0 < self.held_share <= 0.5:
            raise ValueError(f"distillation.held_share is {self.held_share}; wanted a number above 0, 0.5 at most")
