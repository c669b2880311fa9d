"""Stage `distillation`: an unlearned model, noised, and taught anew what it said before the noise, and where that is
asked for the text that is to be kept.
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
    retain: TeacherCache,
    forget: TeacherCache | None,
    config: DistillationConfig,
    run: str | None = None,
) -> CheckpointRef:
    """Noise the unlearned model, and train it to what it said; it ends where it is nearest to that on blocks that it
    was not trained on.

    Args:
        unlearned: The model that is noised.
        retain: What it says of the retain text, which itself counts by `config.text_share`.
        forget: What it says of the forget text, which itself counts nothing; none: it is left to guess there.
        config: How much noise, and how it is taught.
        run: Tracking run.
    """
    from tasks.algorithms.objectives.distillation import Distillation
    from tasks.algorithms.unlearning.noise import shrink_and_perturb
    from tasks.training.teacher_blocks import TeacherBlocks
    from tasks.training.trainer import keep_trained, train_stage

    with tracking.stage_run(run, "distillation", config) as nested:
        student, tokenizer = load_model(unlearned, exact=True), load_tokenizer(unlearned)
        texts = [(retain, config.text_share), *([(forget, 0.0)] if forget else [])]
        head, pad = _frozen_head(student), pad_id(tokenizer)
        blocks = TeacherBlocks(head, texts, pad, student.device, student.dtype, config)
        shrink_and_perturb(student, config.noise_alpha, config.noise_beta, config.seed)
        tracking.log_metrics(nested, {"noised_kl_nats": blocks.validate(student).score})
        train_stage(student, blocks, Distillation(), config, nested, validate=blocks.validate)
        return keep_trained(
            student, tokenizer, "unlearned", unlearned, LoraConfig(), sensitivity="ordinary", origin=nested
        )


def _frozen_head(model: "nn.Module") -> "nn.Module":
    """Return a copy of the output head as it is now."""
    from copy import deepcopy

    from tasks.algorithms.models.heads import output_head

    return deepcopy(output_head(model)).requires_grad_(False)
