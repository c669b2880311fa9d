"""The one training loop: pretraining, reinforcement and every finetuning stage run through `train`.

The loop owns no files and no clock: it hands out its state, and the caller decides when to save it. A run that goes on
from a saved state ends with the same weights, to the bit, as one that was never interrupted (equal dtype, device and
threads).
"""

import bisect
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from tasks.algorithms.objectives.protocol import Objective
from tasks.algorithms.training.sharpness import backward_at_worst
from tasks.artifacts import BelowFloorError
from tasks.settings.training import SCHEDULES, TrainingConfig, peak_learning_rate

MOST_VALIDATED = 256
"""Items of either side that a validation looks at, at most: a mean over as many is exact enough, and a large text
should not be scored more than read."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one forward pass sees."""

    tensors: dict[str, Tensor]
    cached: dict[str, Any]
    """What frozen models said about this batch, computed beforehand."""
    weight: float
    """The weight of this batch among those of one optimiser step: its supervised tokens, or sequences where a loss is
    their mean."""
    tokens: float | None = None
    """Supervised tokens, where these are not the weight."""


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a validation found."""

    score: float | None
    """Lower is better; none: the later is better."""
    acceptable: bool
    """Whether the utility floor holds; a checkpoint below it is never the best one while another is above."""
    metrics: dict[str, float] = field(default_factory=dict)
    enough: bool = True
    """Whether so little is left that no further course of the learning rate is wanted."""
    retain_ratio: float | None = None
    """Probability of what is to be kept, as a share of the target model's; none where it is not measured."""


@dataclass(kw_only=True)
class TrainingState:
    """Everything that a run needs to go on: tensors by name and numbers by name."""

    tensors: dict[str, Tensor]
    numbers: dict[str, float]


class EpochBatches(Sequence[Batch]):
    """All batches of all epochs of all courses, by index; each epoch shuffles anew, so any step can be reached without
    those before it.
    """

    def __init__(self, items: int, make: Callable[[list[int], int], Batch], config: TrainingConfig) -> None:
        """Batch `items` items; `make(indices, step)` builds one batch."""
        if not items:
            raise ValueError("there is nothing to train on; wanted at least one block")
        self._items, self._make, self._config = items, make, config
        self.per_epoch = math.ceil(items / config.batch_blocks)
        epochs = max(config.epochs, math.ceil(config.least_steps * config.accumulation / self.per_epoch))
        self.epochs = epochs * config.courses

    def __len__(self) -> int:
        return self.per_epoch * self.epochs

    def __getitem__(self, index: int) -> Batch:
        if not 0 <= index < len(self):
            raise IndexError(f"there is no batch {index}; wanted 0 to {len(self) - 1}")
        epoch, slot = divmod(index, self.per_epoch)
        order = shuffled(self._items, self._config.seed, epoch)
        size = self._config.batch_blocks
        return self._make(order[slot * size : (slot + 1) * size], index)


def shuffled(items: int, seed: int, epoch: int) -> list[int]:
    """Return a permutation of `range(items)`, a function of seed and epoch alone."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(items, generator=generator).tolist()


def course(step: int, steps: int, courses: int) -> tuple[int, int]:
    """Return, of `courses` equal parts of `steps`, the one in which a step's successor lies: (steps before it, steps at
    its end); after the last step, the last one.
    """
    ends = [math.ceil(number * steps / courses) for number in range(courses + 1)]
    number = bisect.bisect_right(ends, step, hi=courses) - 1
    return ends[number], ends[number + 1]


def held_back(items: int, share: float) -> int:
    """Return how many of `items` are kept for validation: the share of them, `MOST_VALIDATED` at most, but one at least
    where there are two; none with a share of 0.
    """
    return min(MOST_VALIDATED, max(1, int(items * share))) if share and items > 1 else 0


def native_precision(device: torch.device) -> str:
    """Return `bf16` where the hardware multiplies bfloat16 natively, else `no`."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    return "bf16" if device.type == "cpu" and torch.cpu._is_amx_tile_supported() else "no"


def train(
    model: nn.Module,
    batches: Sequence[Batch],
    objective: Objective,
    config: TrainingConfig,
    *,
    state: TrainingState | None = None,
    on_step: Callable[[int, dict[str, float]], None] = lambda step, metrics: None,
    on_checkpoint: Callable[[int, Callable[[], TrainingState]], None] = lambda step, capture: None,
    validate: Callable[[nn.Module], Validation] | None = None,
) -> dict[str, float]:
    """Train `model` in place; with `validate`, leave it at its best checkpoint.

    Args:
        model: The model to train; its device is where it is trained. Only parameters that require a gradient are:
            freeze the others.
        batches: All batches of all epochs, by index.
        objective: What is minimised.
        config: How.
        state: From an earlier run's `on_checkpoint`; training goes on after its step.
        on_step: Called after every optimiser step with its number (from 1) and metrics.
        on_checkpoint: Called after every optimiser step with its number and a function that captures the state.
        validate: Scores the model on a validation slice; decides the best checkpoint and when to stop.

    Returns:
        Numbers of the run: steps, best score and step.

    Raises:
        BelowFloorError: If a validation finds less kept than `config.stop_below`; the model is left as it is then.
        FloatingPointError: If loss or gradient norm is not finite; the step is named.
        ValueError: If every parameter is frozen.
    """
    # its settings are process-wide, and stages differ in precision
    AcceleratorState._reset_state(reset_partial_state=True)
    device = next(model.parameters()).device
    precision = native_precision(device) if config.mixed_precision == "auto" else config.mixed_precision
    accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision=precision)
    run = _Run(model, batches, config, validate)
    run.student, run.optimizer = accelerator.prepare(model, run.optimizer)
    run.scaler = accelerator.scaler
    # autocast belongs to the steps below, not to the model for good
    accelerator.unwrap_model(run.student, keep_fp32_wrapper=False)
    if state:
        run.restore(state)
    model.train()
    while run.step < run.steps and not run.stopped:
        on_step(run.step + 1, run.take_step(accelerator, objective))
        on_checkpoint(run.step, run.capture)
    run.finish()
    return run.numbers()


class _Run:
    """The moving parts of one training run."""

    def __init__(
        self,
        model: nn.Module,
        batches: Sequence[Batch],
        config: TrainingConfig,
        validate: Callable[[nn.Module], Validation] | None,
    ) -> None:
        self.model, self.student, self.batches, self.config, self.validate = model, model, batches, config, validate
        self.steps = math.ceil(len(batches) / config.accumulation)
        self.per_epoch = getattr(batches, "per_epoch", len(batches))
        self.peak = peak_learning_rate(config, sum(parameter.numel() for parameter in model.parameters()))
        self.trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        """What is optimised, captured and restored; frozen parameters are the caller's to bring back."""
        if not self.trained:
            raise ValueError("every parameter of the model is frozen; wanted at least one that requires a gradient")
        self.optimizer: Any = torch.optim.AdamW(
            self.trained.values(), lr=self.peak, betas=(0.9, config.beta2), weight_decay=config.weight_decay
        )
        self.step, self.waited, self.stopped = 0, 0, False
        self.best: dict[str, Tensor] = {}
        self.scaler: Any = None
        self.best_score, self.best_step, self.best_acceptable = math.inf, 0, False
        self.course_best = 0
        """The best step when the present course of the learning rate began."""

    def take_step(self, accelerator: Accelerator, objective: Objective) -> dict[str, float]:
        """Do one optimiser step and return its metrics."""
        started = time.perf_counter()
        group = [
            self.batches[index]
            for index in range(
                self.step * self.config.accumulation, min((self.step + 1) * self.config.accumulation, len(self.batches))
            )
        ]
        rate = self._set_learning_rate()
        total, weight = {"loss_nats": 0.0}, sum(batch.weight for batch in group)
        tokens = sum(batch.weight if batch.tokens is None else batch.tokens for batch in group)
        with self._randomness():
            for batch in group:
                share = batch.weight / weight
                loss, extra = self._backward(accelerator, objective, batch, share)
                for name, value in {"loss_nats": loss.detach(), **extra}.items():
                    total[name] = total.get(name, 0.0) + share * float(value)
        norm = float(accelerator.clip_grad_norm_(self.student.parameters(), self.config.clip_norm or math.inf))
        # its first guesses overflow by design; it then skips the step and halves the scale
        scaled = accelerator.scaler is not None
        if not math.isfinite(total["loss_nats"]) or not (math.isfinite(norm) or scaled):
            raise FloatingPointError(
                f"loss {total['loss_nats']} and gradient norm {norm} at step {self.step + 1}; wanted finite numbers"
            )
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        metrics = total | {
            "gradient_norm": norm,
            "learning_rate": rate,
            "tokens_per_s": tokens / (time.perf_counter() - started),
        }
        return metrics | self._validate_if_due()

    def _backward(
        self, accelerator: Accelerator, objective: Objective, batch: Batch, share: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Add the gradient of a batch, and return its loss and metrics."""
        if self.config.sharpness:
            return backward_at_worst(
                self.student,
                list(self.trained.values()),
                batch,
                objective,
                self.config.sharpness,
                autocast=accelerator.autocast,
                backward=lambda loss: accelerator.backward(loss * share),
                scaled=lambda loss: loss if self.scaler is None else self.scaler.scale(loss),
            )
        with accelerator.autocast():
            loss, extra = objective.loss(self.student, batch.tensors, batch.cached)
        accelerator.backward(loss * share)
        return loss, extra

    @contextmanager
    def _randomness(self) -> Iterator[None]:
        """Let dropout depend on seed and step alone, and leave the caller's random numbers as they were."""
        device = next(self.model.parameters()).device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(self.config.seed * 1_000_003 + self.step)
            yield

    def _set_learning_rate(self) -> float:
        start, end = course(self.step, self.steps, self.config.courses)
        done, steps = self.step - start, end - start
        warmup = max(1, round(self.config.warmup_share * steps))
        share = max(0.0, (done - warmup) / max(1, steps - warmup))
        factor = min(1.0, (done + 1) / warmup) * SCHEDULES[self.config.schedule](share, self.config.final_rate_share)
        for group in self.optimizer.param_groups:
            group["lr"] = self.peak * factor
        return self.peak * factor

    def _validate_if_due(self) -> dict[str, float]:
        ended = course(self.step, self.steps, self.config.courses)[0] == self.step
        if self.validate is None:
            self.stopped = ended
            return {}
        if not (ended or self._is_due()):
            return {}
        self.model.eval()
        found = self.validate(self.model)
        self.model.train()
        floor = self.config.stop_below
        if floor is not None and found.retain_ratio is not None and found.retain_ratio < floor:
            # before a state is saved from which a run without floor might go on
            raise BelowFloorError(
                found.retain_ratio, floor, self.step, course(self.step - 1, self.steps, self.config.courses)[1]
            )
        score = -float(self.step) if found.score is None else found.score
        if not math.isnan(score) and (not found.acceptable, score) < (not self.best_acceptable, self.best_score):
            self.best = {name: value.detach().to("cpu", copy=True) for name, value in self.trained.items()}
            self.best_score, self.best_step, self.best_acceptable, self.waited = score, self.step, found.acceptable, 0
        else:
            self.waited += 1
        self.stopped = self.waited >= self.config.patience
        if ended:
            helped = self.best_step > self.course_best
            self.stopped = found.enough or not found.acceptable or not helped
            self.course_best, self.waited = self.best_step, 0
        return {"validation_score": score, "validation_acceptable": float(found.acceptable)} | found.metrics

    def _is_due(self) -> bool:
        """After every `validate_every` steps, or after a step in which an epoch ended; and at the end."""
        if self.config.validate_every:
            return self.step % self.config.validate_every == 0 or self.step == self.steps
        done = self.step * self.config.accumulation
        return done // self.per_epoch > (done - self.config.accumulation) // self.per_epoch or self.step == self.steps

    def capture(self) -> TrainingState:
        """Copy everything that the rest of the run depends on."""
        tensors = {f"model/{name}": value for name, value in self.trained.items()}
        tensors |= {f"best/{name}": value for name, value in self.best.items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{name}": value for name, value in slots.items()}
        return TrainingState(
            tensors={name: value.detach().to("cpu", copy=True) for name, value in tensors.items()},
            numbers=self.numbers(),
        )

    def restore(self, state: TrainingState) -> None:
        """Take up a captured state."""
        slots: dict[int, dict[str, Tensor]] = {}
        with torch.no_grad():
            for name, value in state.tensors.items():
                kind, _, rest = name.partition("/")
                if kind == "model":
                    self.trained[rest].copy_(value)
                elif kind == "best":
                    self.best[rest] = value
                else:
                    index, _, slot = rest.partition("/")
                    slots.setdefault(int(index), {})[slot] = value.clone()
        self.optimizer.load_state_dict({"state": slots, "param_groups": self.optimizer.state_dict()["param_groups"]})
        self.step, self.waited, self.best_step = (int(state.numbers[name]) for name in ("step", "waited", "best_step"))
        self.course_best = int(state.numbers["course_best"])
        self.best_score, self.best_acceptable = state.numbers["best_score"], bool(state.numbers["best_acceptable"])
        self.stopped = bool(state.numbers["stopped"])
        if self.scaler is not None:
            self.scaler.load_state_dict({name: state.numbers[f"scaler/{name}"] for name in self.scaler.state_dict()})

    def numbers(self) -> dict[str, float]:
        """Return the counters of the run."""
        scaler = self.scaler.state_dict() if self.scaler is not None else {}
        return {f"scaler/{name}": value for name, value in scaler.items()} | {
            "step": self.step,
            "steps": self.steps,
            "waited": self.waited,
            "stopped": float(self.stopped),
            "best_step": self.best_step,
            "best_score": self.best_score,
            "best_acceptable": float(self.best_acceptable),
            "course_best": self.course_best,
        }

    def finish(self) -> None:
        """Leave the model in evaluation mode, at its best checkpoint where there was a validation."""
        if self.best:
            with torch.no_grad():
                for name, parameter in self.trained.items():
                    parameter.copy_(self.best[name])
        self.model.eval()
