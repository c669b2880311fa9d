"""Stage `finetune`: the target model trained on generic labels, held to what it was on the retain text."""

from typing import TYPE_CHECKING

from tasks import tracking
from tasks.artifacts import CheckpointRef, LabelSet, Localisation, TeacherCache
from tasks.execution.stage import stage
from tasks.models.checkpoints import is_adapter
from tasks.models.loading import load_model, load_tokenizer, pad_id
from tasks.settings.finetuning import FinetuneConfig
from tasks.settings.labels import LabelConfig
from tasks.settings.training import LoraConfig

if TYPE_CHECKING:
    import torch


@stage("finetune")
def finetune(
    target: CheckpointRef,
    reinforced: CheckpointRef,
    labels: LabelSet,
    teacher: TeacherCache | None,
    label_config: LabelConfig,
    config: FinetuneConfig,
    lora: LoraConfig = LoraConfig(),
    localisation: Localisation | None = None,
    run: str | None = None,
) -> CheckpointRef:
    """Train the target model, or an adapter on it, on the labels; it ends at its best checkpoint.

    Args:
        target: The model that is to forget.
        reinforced: Its head is read by the labels.
        labels: Generic labels.
        teacher: What the target model says on the retain text; none: nothing is held on to.
        label_config: How labels are made of two models' logits.
        config: How the student is trained.
        lora: Whole weights, or an adapter.
        localisation: The layers whose MLPs alone are trained; none: all weights are.
        run: Tracking run.
    """
    from tasks.algorithms.objectives.generic_labels import GenericLabelLoss, GenericLabelLossConfig
    from tasks.algorithms.training.loop import EpochBatches
    from tasks.training.chosen_weights import train_localised
    from tasks.training.label_validation import validation, with_retain_ratio
    from tasks.training.labelled_blocks import LabelledBlocks
    from tasks.training.trainer import adapt, keep_trained, train_stage

    with tracking.stage_run(run, "finetune", config) as nested:
        student, tokenizer = load_model(target, exact=not lora.rank), load_tokenizer(target)
        lora = train_localised(student, localisation, lora)
        config = adapt(student, config, lora, "unlearned")
        heads = _frozen_heads(student, target, reinforced, lora)
        data = LabelledBlocks(labels, teacher, heads, pad_id(tokenizer), student.device, config)
        objective = GenericLabelLoss(
            GenericLabelLossConfig(
                kind=label_config.kind,
                alpha=label_config.alpha,
                relu_on=label_config.relu_on,
                retain_weight=config.retain_weight if teacher else 0.0,
            )
        )
        batches = EpochBatches(data.forget_blocks, data.batch, config)
        validate = (
            with_retain_ratio(validation(data, objective, student, config), student, data, config)
            if config.validation_share
            else None
        )
        train_stage(student, batches, objective, config, nested, validate=validate)
        return keep_trained(student, tokenizer, "unlearned", target, lora, sensitivity="ordinary", origin=nested)


def _frozen_heads(
    student: "torch.nn.Module", target: CheckpointRef, reinforced: CheckpointRef, lora: LoraConfig
) -> "dict[str, torch.nn.Module]":
    """Return the heads that turn cached states into logits; no adapter changes a head, so with adapters all are the
    student's own.
    """
    from tasks.algorithms.models.heads import output_head

    baseline = output_head(student if lora.rank else load_model(target))
    boosted = baseline if is_adapter(reinforced) else output_head(load_model(reinforced))
    return {"baseline_head": baseline, "reinforced_head": boosted}
