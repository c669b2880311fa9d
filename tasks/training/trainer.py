"""What every stage that trains shares: whole weights or an adapter, resume from the workspace, step metrics, progress,
state saved by the clock.
"""

import logging
import os
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from tasks import store, tracking
from tasks.algorithms.models import adapters
from tasks.algorithms.objectives.protocol import Objective
from tasks.algorithms.tokens.batching import pad_batch
from tasks.algorithms.training.loop import Batch, TrainingState, Validation, course, train
from tasks.artifacts import BadInputError, BelowFloorError, CheckpointRef, Sensitivity
from tasks.execution import isolation, progress
from tasks.models.loading import handled_dtype, save_adapter, save_checkpoint
from tasks.reporting import run_history
from tasks.settings.training import LoraConfig, TrainingConfig
from tasks.storage.plain_files import read_json, write_json
from tasks.storage.training_states import read_state, write_state

T = TypeVar("T", bound=TrainingConfig)
_log = logging.getLogger(__name__)
SAVE_EVERY_S = 10.0
"""Seconds between saved states, unless LETHE_SAVE_EVERY_S says otherwise. When a state is saved changes no number."""


def adapt(model: nn.Module, config: T, lora: LoraConfig, name: str) -> T:
    """Give `model` a fresh adapter that alone is trained, where one is asked for, and return how it is trained.

    Raises:
        BadInputError: If the architecture cannot carry it.
    """
    if not lora.rank:
        return config
    changed = adapters.adapter_training(config, lora, sum(parameter.numel() for parameter in model.parameters()))
    try:
        adapters.attach(model, lora, name, config.seed)
    except ValueError as error:
        raise BadInputError(str(error)) from None
    return changed


def keep_trained(
    model: nn.Module,
    tokenizer: Any,
    label: str,
    target: CheckpointRef,
    lora: LoraConfig,
    *,
    sensitivity: Sensitivity,
    origin: str | None,
    goes_on: bool = False,
) -> CheckpointRef:
    """Store what was trained: the adapter that bears the label, or a plain model into which it is merged: a copy, where
    training `goes_on`.

    A result is kept in the target's type; a reinforced model, of which only the difference to the target counts, as
    exactly as it was trained.
    """
    if lora.rank and lora.output == "adapter":
        return save_adapter(model, tokenizer, label, target, sensitivity=sensitivity, origin=origin)
    dtype = handled_dtype(target) if label == "unlearned" else model.dtype
    if goes_on and (lora.rank or dtype != model.dtype):
        model = deepcopy(model)
    if lora.rank:
        adapters.merge(model, label)
    model.to(dtype)
    return save_checkpoint(model, tokenizer, label, sensitivity=sensitivity, origin=origin)


def train_stage(
    model: nn.Module,
    batches: Sequence[Batch],
    objective: Objective,
    config: TrainingConfig,
    run: str | None,
    validate: Callable[[nn.Module], Validation] | None = None,
    after_step: Callable[[int], None] = lambda step: None,
) -> dict[str, float]:
    """Train `model` in place inside a stage; a run that died goes on at its last saved state.

    Args:
        model: The model to train.
        batches: All batches of all epochs.
        objective: What is minimised.
        config: How.
        run: MLflow run for the step metrics.
        validate: Scores a validation slice.
        after_step: Called with the number of each step (from 1) before its state is saved; a resumed run may call it
            again for a step.

    Returns:
        Numbers of the run, see `train`.

    Raises:
        BelowFloorError: As `train` does; what was saved of the run is gone then.
    """
    key = isolation.current_key()
    path = store.workspace(key) / "state.safetensors" if key else None
    state, saved = read_state(path) if path else None, time.monotonic()
    _note_run(path, run, goes_on=state is not None)
    steps, pause = -(-len(batches) // config.accumulation), float(os.environ.get("LETHE_SAVE_EVERY_S", SAVE_EVERY_S))

    def checkpoint(step: int, capture: Callable[[], TrainingState]) -> None:
        nonlocal saved
        after_step(step)
        if path and time.monotonic() - saved >= pause:
            log.flush()  # whoever goes on from this state finds every step before it
            write_state(path, capture())
            saved = time.monotonic()

    with tracking.StepLog(run) as log:

        def step_done(step: int, metrics: dict[str, Any]) -> None:
            log(step, metrics)
            total = course(step - 1, steps, config.courses)[1]  # most trainings need no other one
            progress.report(step, total, f"loss {metrics['loss_nats']:.3f}, {metrics['tokens_per_s']:,.0f} tokens/s")

        try:
            numbers = train(
                model,
                batches,
                objective,
                config,
                state=state,
                on_step=step_done,
                on_checkpoint=checkpoint,
                validate=validate,
            )
        except BelowFloorError as error:
            log(error.step, {"validation/retain_ratio": error.retain_ratio})
            if key:
                store.drop_workspace(key)
            raise
    progress.report(int(numbers["step"]), int(numbers["step"]), "done")
    if numbers["best_step"]:
        tracking.log_metrics(run, {"kept_step": numbers["best_step"], "kept_acceptable": numbers["best_acceptable"]})
    if numbers["best_step"] and not numbers["best_acceptable"]:
        _log.warning(
            "no checkpoint was acceptable: the one of step %d is kept, which is the best of those that are not",
            numbers["best_step"],
        )
    return numbers


def _note_run(state: Path | None, run: str | None, *, goes_on: bool) -> None:
    """Note beside the saved state which run trains here; where another one began it, that is tracked."""
    if not state or not run:
        return
    notes = state.with_name("run.json")
    earlier = read_json(notes)["run"] if goes_on and notes.is_file() else run
    if earlier != run:
        run_history.goes_on_from(run, earlier)
    write_json(notes, {"run": run})


def text_batches(
    blocks: Sequence[Sequence[int] | torch.Tensor],
    pad_id: int,
    device: torch.device,
    supervised: Sequence[Sequence[bool] | torch.Tensor] | None = None,
) -> Callable[[list[int], int], Batch]:
    """Return a function that builds a language-modelling batch from block indices; without `supervised` every
    prediction counts.
    """

    def make(indices: list[int], step: int) -> Batch:
        ids, mask = pad_batch([blocks[index] for index in indices], pad_id, device)
        counted = mask if supervised is None else pad_batch([supervised[index] for index in indices], 0, device)[0]
        return Batch(
            tensors={"ids": ids, "mask": mask, "supervised": counted},
            cached={},
            weight=float((counted[:, :-1] * mask[:, 1:]).sum()),
        )

    return make
