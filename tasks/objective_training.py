"""Stage `finetune` of methods that train by an entry of `OBJECTIVES`: the target model ends at its best checkpoint."""

from collections.abc import Callable
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from tasks import tracking
from tasks.algorithms.text.spacing import spaced
from tasks.artifacts import BadInputError, CheckpointRef, CorpusRef, Localisation, ReferenceCache
from tasks.execution.stage import stage
from tasks.models.loading import load_model, load_tokenizer, pad_id
from tasks.settings.objective_training import UnlearningConfig
from tasks.settings.objectives.protocol import ObjectiveSettings
from tasks.settings.text import CorpusConfig
from tasks.settings.training import LoraConfig

if TYPE_CHECKING:
    import torch

    from tasks.algorithms.objectives.protocol import Objective
    from tasks.algorithms.tokens.text_blocks import TextBlock
    from tasks.algorithms.training.loop import Batch, Validation
    from tasks.training.reference_rows import ReferenceRows


@stage("finetune")
def unlearn(
    corpus: CorpusRef,
    target: CheckpointRef,
    reference: ReferenceCache,
    loss: str,
    objective: ObjectiveSettings,
    config: UnlearningConfig,
    corpus_config: CorpusConfig,
    lora: LoraConfig = LoraConfig(),
    localisation: Localisation | None = None,
    run: str | None = None,
) -> CheckpointRef:
    """Train the target model, or an adapter on it; a live teacher is a second, frozen copy of it, or the model with its
    adapter off.

    Args:
        corpus: Forget text, for the guard's prompts.
        target: The model that is to forget.
        reference: Rows, and what the target model says about them.
        loss: Class of the objective, as `tasks.module:Class`; its code is part of the cache key, that of other
            objectives is not.
        objective: Its settings.
        config: How the student is trained.
        corpus_config: How text was read.
        lora: Whole weights, or an adapter.
        localisation: The layers whose MLPs alone are trained; none: all weights are.
        run: Tracking run.
    """
    from tasks.algorithms.training.loop import EpochBatches
    from tasks.training.guard import no_score, with_guard
    from tasks.training.reference_rows import ReferenceRows, live_teacher
    from tasks.training.trainer import adapt, keep_trained, train_stage

    with tracking.stage_run(run, "finetune", {"loss": loss, "objective": objective, "training": config}) as nested:
        student, tokenizer = load_model(target, exact=not lora.rank), load_tokenizer(target)
        made, pad = resolve_name(loss)(objective), pad_id(tokenizer)
        teacher = live_teacher(student, target, lora) if config.teacher == "live" else None
        rows = ReferenceRows(reference, made.needs, student, teacher, pad, made.layer(student))
        data = ObjectiveRows(rows, config, rows_count=made.weighs_rows)
        look = (
            validation(student, data.rows.rows("forget"), data.held, pad, config)
            if config.validation_share
            else no_score
        )
        validate = with_guard(look, config.guard, student, tokenizer, corpus, corpus_config)
        lora = trained_alone(student, made, lora, localisation)
        config = adapt(student, config, lora, "unlearned")
        batches = EpochBatches(len(data.rows.rows("forget")), data.batch, config)
        train_stage(student, batches, made, config, nested, validate=None if validate is no_score else validate)
        return keep_trained(student, tokenizer, "unlearned", target, lora, sensitivity="ordinary", origin=nested)


def trained_alone(
    model: "torch.nn.Module", objective: "Objective", lora: LoraConfig, localisation: Localisation | None = None
) -> LoraConfig:
    """Freeze all but what an objective or a trace wants trained, where they do not want all; return which layers get an
    adapter: the same.

    Raises:
        BadInputError: If both want to choose, or the model's MLPs cannot be found.
    """
    from tasks.training.chosen_weights import train_localised, train_only

    names = objective.trainable(model)
    if names is None:
        return train_localised(model, localisation, lora)
    if localisation:
        raise BadInputError(
            f"{type(objective).__name__} chooses its matrices, and so does localisation.by {localisation.by!r}; wanted"
            " one of them"
        )
    return train_only(model, names, lora)


class ObjectiveRows:
    """Forget rows beside retain rows; some retain rows, spaced evenly so that every topic and file has its share, are
    only validated on.
    """

    def __init__(self, rows: "ReferenceRows", config: UnlearningConfig, *, rows_count: bool) -> None:
        """Take the rows; `rows_count` says that the loss is a mean over rows, not over tokens."""
        from tasks.algorithms.training.rounds import Rounds

        self.rows, self._rows_count = rows, rows_count
        self._rounds = Rounds([len(rows.rows("retain"))], config.validation_share, config.retain_batch, config.seed + 1)
        self.held = [rows.rows("retain")[number] for number in self._rounds.held]
        """Retain rows that are not trained on."""

    def batch(self, indices: list[int], step: int) -> "Batch":
        """Return forget rows by index, with retain rows beside them; every retain row comes round before any comes
        twice.
        """
        from tasks.algorithms.training.loop import Batch

        tensors, cached = self.rows.batch(
            {
                "forget": indices,
                "retain": self._rounds.at(step),
                "preferred": indices if self.rows.rows("preferred") else [],
            }
        )
        tokens = float(sum(sum(self.rows.rows("forget")[number].supervised[:-1]) for number in indices))
        return Batch(
            tensors=tensors, cached=cached, weight=float(len(indices)) if self._rows_count else tokens, tokens=tokens
        )


def validation(
    student: "torch.nn.Module", forget: "list[TextBlock]", held: "list[TextBlock]", pad: int, config: UnlearningConfig
) -> "Callable[[torch.nn.Module], Validation]":
    """Return a function that scores a slice: what is left of the forget rows, acceptable while the retain rows lose
    little; what they lose beyond that counts as much as what is left. It is enough when nothing is.
    """
    from tasks.algorithms.training.loop import Validation
    from tasks.algorithms.training.reference_model import validator

    look = validator(
        student, spaced(forget, config.validation_rows), held, pad, config.batch_blocks, config.stop_probability
    )

    def validate(model: "torch.nn.Module") -> Validation:
        found = look(model)
        metrics = {f"validation/{name}": value for name, value in found.items()}
        rise = found.get("retain_loss_rise_nats", 0.0)
        acceptable = rise <= config.utility_floor
        # so that training goes on while what is kept comes back
        excess = 0.0 if acceptable else rise - config.utility_floor
        return Validation(
            score=found["left"] + excess,
            acceptable=acceptable,
            enough=found["left"] == 0.0,
            metrics=metrics,
            retain_ratio=found.get("retain_ratio"),
        )

    return validate
