"""Stage `task vector`: the target model moved back along the weights' way to the reinforced model; nothing is trained here."""

from tasks import checkpoints, progress, tracking
from tasks.algorithms.task_vector import apply_task_vector
from tasks.algorithms.task_vector_config import TaskVectorConfig
from tasks.artifacts import CheckpointRef
from tasks.stage import stage


@stage("task vector")
def subtract_task_vector(target: CheckpointRef, finetuned: CheckpointRef, config: TaskVectorConfig, run: str | None = None) -> CheckpointRef:
    """Return target - scale * (finetuned - target), weight by weight."""
    with tracking.stage_run(run, "task vector", config) as nested:
        progress.report(0, 1)
        model, tokenizer = checkpoints.load_model(target, exact=True), checkpoints.load_tokenizer(target)
        apply_task_vector(model, checkpoints.load_model(finetuned, exact=True), config.scale)
        model.to(checkpoints.handled_dtype(target))
        kept = checkpoints.save_checkpoint(model, tokenizer, "unlearned", sensitivity="ordinary", origin=nested)
        progress.report(1, 1)
        return kept
