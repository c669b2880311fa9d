"""Stage `distillation`: an unlearned model, noised, and taught anew by what it said before the noise; of what is to be
kept, by what the target model says.
"""

from typing import TYPE_CHECKING

from tasks import tracking
from tasks.artifacts import CheckpointRef, TeacherCache
from tasks.execution.stage import stage
from tasks.models.loading import load_model, load_tokenizer, pad_id
from tasks.settings.distillation import DistillationConfig
from tasks.settings.training import LoraConfig

if TYPE_CHECKING:
    from torch import nn


@stage("distillation")
def distil(
    unlearned: CheckpointRef,
    teachers: tuple[CheckpointRef, ...],
    caches: tuple[TeacherCache, ...],
    splits: tuple[str, ...],
    config: DistillationConfig,
    run: str | None = None,
) -> CheckpointRef:
    """Noise the unlearned model, and train it to what its teachers say; it ends where it is nearest to that on blocks
    that it was not trained on.

    Args:
        unlearned: The model that is noised.
        teachers: Whom it imitates; it may be one of them, as it was before the noise.
        caches: What each says of a text of its own.
        splits: Which text that is, `retain` or `forget`; the retain text itself counts too.
        config: How much noise, and how it is taught.
        run: Tracking run.
    """
    from tasks.algorithms.objectives.distillation import Distillation
    from tasks.algorithms.unlearning.noise import shrink_and_perturb
    from tasks.training.teacher_blocks import TeacherBlocks
    from tasks.training.trainer import keep_trained, train_stage

    with tracking.stage_run(run, "distillation", config) as nested:
        student, tokenizer = load_model(unlearned, exact=True), load_tokenizer(unlearned)
        heads = [_frozen_head(teacher) for teacher in teachers]
        shares = [config.text_share if split == "retain" else 0.0 for split in splits]
        spoken = list(zip(heads, caches, shares, strict=True))
        blocks = TeacherBlocks(spoken, pad_id(tokenizer), student.device, student.dtype, config)
        shrink_and_perturb(student, config.noise_alpha, config.noise_beta, config.seed)
        tracking.log_metrics(nested, {"noised_kl_nats": blocks.validate(student).score})
        train_stage(student, blocks, Distillation(), config, nested, validate=blocks.validate)
        return keep_trained(
            student, tokenizer, "unlearned", unlearned, LoraConfig(), sensitivity="ordinary", origin=nested
        )


def _frozen_head(teacher: CheckpointRef) -> "nn.Module":
    """Return the output head of a model, without the rest of it."""
    from copy import deepcopy

    from tasks.algorithms.models.heads import output_head

    return deepcopy(output_head(load_model(teacher, exact=True))).requires_grad_(False)
