"""Stage `finetune`: the target model trained on generic labels, held to what it was on the retain text."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tasks import tracking
from tasks.algorithms.text.spacing import spaced
from tasks.artifacts import CheckpointRef, LabelSet, TeacherCache
from tasks.execution.stage import stage
from tasks.models.checkpoints import is_adapter
from tasks.models.loading import load_model, load_tokenizer, pad_id
from tasks.settings.finetuning import FinetuneConfig
from tasks.settings.labels import LabelConfig
from tasks.settings.training import LoraConfig

if TYPE_CHECKING:
    import torch

    from tasks.algorithms.objectives.generic_labels import GenericLabelLoss
    from tasks.algorithms.training.loop import Validation
    from tasks.training.labelled_blocks import LabelledBlocks, Part


@stage("finetune")
def finetune(
    target: CheckpointRef,
    reinforced: CheckpointRef,
    labels: LabelSet,
    teacher: TeacherCache | None,
    label_config: LabelConfig,
    config: FinetuneConfig,
    lora: LoraConfig = LoraConfig(),
    run: str | None = None,
) -> CheckpointRef:
    """Train the target model, or an adapter on it, on the labels; it ends at its best checkpoint."""
    from tasks.algorithms.objectives.generic_labels import GenericLabelLoss, GenericLabelLossConfig
    from tasks.algorithms.training.loop import EpochBatches
    from tasks.training.labelled_blocks import LabelledBlocks
    from tasks.training.trainer import adapt, keep_trained, train_stage

    with tracking.stage_run(run, "finetune", config) as nested:
        student, tokenizer = load_model(target, exact=not lora.rank), load_tokenizer(target)
        config = adapt(student, config, lora, "unlearned")
        heads = _frozen_heads(student, target, reinforced, lora)
        data = LabelledBlocks(labels, teacher, heads, pad_id(tokenizer), student.device, config)
        objective = GenericLabelLoss(
            GenericLabelLossConfig(
                kind=label_config.kind, alpha=label_config.alpha, relu_on=label_config.relu_on, retain_weight=config.retain_weight if teacher else 0.0
            )
        )
        batches = EpochBatches(data.forget_blocks, data.batch, config)
        train_stage(student, batches, objective, config, nested, validate=validation(data, objective, config) if config.validation_share else None)
        return keep_trained(student, tokenizer, "unlearned", target, lora, sensitivity="ordinary", origin=nested)


def _frozen_heads(student: "torch.nn.Module", target: CheckpointRef, reinforced: CheckpointRef, lora: LoraConfig) -> "dict[str, torch.nn.Module]":
    """Return the heads that turn cached states into logits; no adapter changes a head, so with adapters all are the student's own."""
    from tasks.algorithms.models.heads import output_head

    baseline = output_head(student if lora.rank else load_model(target))
    boosted = baseline if is_adapter(reinforced) else output_head(load_model(reinforced))
    return {"baseline_head": baseline, "reinforced_head": boosted}


def validation(data: "LabelledBlocks", objective: "GenericLabelLoss", config: FinetuneConfig) -> "Callable[[torch.nn.Module], Validation]":
    """Return a function that scores a slice: the label loss on forget blocks, acceptable while the KL of the held retain blocks is below the floor;
    what it has beyond that counts as much as label loss.

    The forget blocks are trained on too: what is removed need not generalise to other facts, and to hold any back would keep them.
    """
    import torch

    from tasks.algorithms.training.loop import MOST_VALIDATED, Validation

    forget = spaced(range(data.forget_blocks), min(MOST_VALIDATED, max(1, round(data.forget_blocks * config.validation_share))))

    @torch.no_grad()
    def over(term: Callable[..., torch.Tensor], part: "Callable[[list[int]], Part]", blocks: list[int], model: torch.nn.Module) -> float:
        total = items = 0.0
        for start in range(0, len(blocks), config.batch_blocks):
            tensors, cached, count = part(blocks[start : start + config.batch_blocks])
            total, items = total + count * float(term(model, tensors, cached)), items + count
        return total / items if items else 0.0

    def validate(model: torch.nn.Module) -> Validation:
        label_loss = over(objective.forget_term, data.forget_part, forget, model)
        kl = over(objective.retain_term, data.retain_part, data.held, model)
        metrics = {"validation/label_loss_nats": label_loss, "validation/retain_kl_nats": kl}
        acceptable = kl <= config.utility_floor
        return Validation(score=label_loss + (0.0 if acceptable else kl - config.utility_floor), acceptable=acceptable, metrics=metrics)

    return validate
