"""SCRUB around its loss: the order of max- and min-steps, their batches, and the rewind to an earlier checkpoint.

    language_model   every epoch: joint steps over the forget set, each with as many retain sequences
    original         epochs 1 to m: max-steps over the forget set, then min-steps over the retain set; after that
    min-steps only

Source: Kurmanji et al. 2023, arXiv:2302.09880, algorithm 1 and its section on rewinding.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tasks.algorithms.training.loop import Batch, shuffled
from tasks.settings.scrub import ScrubConfig, ScrubTrainingConfig


@dataclass(frozen=True, kw_only=True)
class Step:
    """Which sequences one batch holds."""

    epoch: int
    """From 0."""
    forget: tuple[int, ...] = ()
    """Indices of forget sequences; empty in a min-step."""
    retain: tuple[int, ...] = ()
    """Indices of retain sequences; empty in a max-step."""


@dataclass(frozen=True, kw_only=True)
class StepOrder:
    """All steps of all epochs, by index: any can be reached without those before it, so that a run can go on
    anywhere.
    """

    forget: int
    """Number of forget sequences, >= 1."""
    retain: int
    """Number of retain sequences, >= 1."""
    config: ScrubConfig
    training: ScrubTrainingConfig
    aligned: bool = False
    """Whether forget sequence i and retain sequence i are a pair: form `language_model` then shows them together."""

    def __post_init__(self) -> None:
        for name in ("forget", "retain"):
            if getattr(self, name) < 1:
                raise ValueError(f"SCRUB has {getattr(self, name)} {name} sequences; wanted at least one")
        if self.aligned and self.forget != self.retain:
            raise ValueError(
                f"{self.forget} forget and {self.retain} retain sequences cannot be pairs; wanted as many of both"
            )

    @property
    def _max_steps(self) -> int:
        """Batches of a pass over the forget set."""
        return math.ceil(self.forget / self.training.batch_blocks)

    @property
    def _min_steps(self) -> int:
        return math.ceil(self.retain / self.training.batch_blocks)

    def end(self, epochs: int) -> int:
        """Return the number of batches in the first `epochs` epochs."""
        if self.config.form == "language_model":
            return epochs * self._max_steps
        return min(epochs, self.config.max_epochs) * self._max_steps + epochs * self._min_steps

    @property
    def epochs(self) -> int:
        """Epochs in all: the config's, or as many as `least_steps` takes."""
        least_batches = self.training.least_steps * self.training.accumulation
        epochs = self.training.epochs
        while self.end(epochs) < least_batches:
            epochs += 1
        return epochs

    def step(self, index: int) -> Step:
        """Return the step with this index."""
        if self.config.form == "language_model":
            epoch, slot = divmod(index, self._max_steps)
            chosen = self._slice(self.forget, 0, epoch, slot)
            shown = epoch * self.forget + slot * self.training.batch_blocks
            return Step(
                epoch=epoch,
                forget=chosen,
                retain=chosen if self.aligned else tuple(self._retain_at(shown + at) for at in range(len(chosen))),
            )
        both = self.config.max_epochs * (self._max_steps + self._min_steps)
        epoch, slot = divmod(index, self._max_steps + self._min_steps)
        if index >= both:
            epoch, slot = divmod(index - both, self._min_steps)
            return Step(
                epoch=self.config.max_epochs + epoch,
                retain=self._slice(self.retain, 1, self.config.max_epochs + epoch, slot),
            )
        if slot < self._max_steps:
            return Step(epoch=epoch, forget=self._slice(self.forget, 0, epoch, slot))
        return Step(epoch=epoch, retain=self._slice(self.retain, 1, epoch, slot - self._max_steps))

    def _slice(self, items: int, stream: int, epoch: int, slot: int) -> tuple[int, ...]:
        size = self.training.batch_blocks
        return tuple(shuffled(items, self.training.seed + stream, epoch)[slot * size : (slot + 1) * size])

    def _retain_at(self, number: int) -> int:
        """Every retain sequence comes round before any comes twice."""
        epoch, slot = divmod(number, self.retain)
        return shuffled(self.retain, self.training.seed + 1, epoch)[slot]


class ScrubBatches(Sequence[Batch]):
    """All batches of all epochs, by index. Epochs of form `original` are not equally long, so there is no `per_epoch`:
    see `ends`.
    """

    def __init__(self, order: StepOrder, make: Callable[[Step], Batch]) -> None:
        """Take the order of the steps, and what builds the batch of one."""
        self._order, self._make = order, make
        self.epochs = order.epochs
        self.ends = tuple(order.end(epoch) for epoch in range(1, self.epochs + 1))
        """Batches done when each epoch has ended: where checkpoints for the rewind are taken."""

    def __len__(self) -> int:
        return self.ends[-1]

    def __getitem__(self, index: int) -> Batch:
        if not 0 <= index < len(self):
            raise IndexError(f"there is no batch {index}; wanted 0 to {len(self) - 1}")
        return self._make(self._order.step(index))


def rewind(forget_errors: Sequence[float], holdout_error: float) -> int:
    """Return which checkpoint to go back to: the one whose forget error is nearest to the held-out error.

    A model that never saw the forget text errs on it as on any other new text; a much higher error tells that something
    was erased.

    Args:
        forget_errors: Error on the forget set of every checkpoint, in the order in which they were taken; mean NLL in
            nats here.
        holdout_error: Error of the last checkpoint on held-out text of the same kind.

    Returns:
        Index of the checkpoint; of several equally near ones the latest, which had most training on retain text.

    Raises:
        ValueError: If there is no checkpoint, or an error is not a finite number.
    """
    if not forget_errors or not all(math.isfinite(error) for error in [*forget_errors, holdout_error]):
        raise ValueError(
            f"forget errors {list(forget_errors)} and held-out error {holdout_error}; wanted finite numbers, one a"
            " checkpoint at least"
        )
    distances = [abs(error - holdout_error) for error in forget_errors]
    return max(at for at, distance in enumerate(distances) if distance == min(distances))
