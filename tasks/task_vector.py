"""Stage `task vector`: the target model less a multiple of the weight difference to the reinforced model; nothing is
trained here.
"""

from tasks import tracking
from tasks.artifacts import CheckpointRef
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.models.loading import handled_dtype, load_model, load_tokenizer, save_checkpoint
from tasks.settings.task_vector import TaskVectorConfig


@stage("task vector")
def subtract_task_vector(
    target: CheckpointRef, finetuned: CheckpointRef, config: TaskVectorConfig, run: str | None = None
) -> CheckpointRef:
    """Return target - scale * (finetuned - target), weight by weight."""
    from tasks.algorithms.unlearning.task_vector import apply_task_vector

    with tracking.stage_run(run, "task vector", config) as nested:
        progress.report(0, 1)
        model, tokenizer = load_model(target, exact=True), load_tokenizer(target)
        apply_task_vector(model, load_model(finetuned, exact=True), config.scale)
        model.to(handled_dtype(target))
        checkpoint = save_checkpoint(model, tokenizer, "unlearned", sensitivity="ordinary", origin=nested)
        progress.report(1, 1)
        return checkpoint
