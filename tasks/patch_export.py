"""Stage `patch export`: patches as one low-rank adapter, which peft loads onto the untouched base and servers of
adapters serve.
"""

from pathlib import Path

from tasks import store, tracking
from tasks.artifacts import BadInputError, CheckpointRef, EditPatch
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.models import adapter_files
from tasks.models.loading import load_tokenizer, skeleton
from tasks.models.patch_files import read_updates
from tasks.models.patched_models import require_base


@stage("patch export", isolated=False)
def export_patches(
    base: CheckpointRef, patches: tuple[EditPatch, ...], label: str, run: str | None = None
) -> CheckpointRef:
    """Return patches as an adapter of their base; the base's weights are not loaded.

    Raises:
        BadInputError: If there are none, one belongs to other weights, or the architecture cannot be edited.
    """
    from tasks.algorithms.editing.patches import as_adapter

    if not patches:
        raise BadInputError("no patches to export; wanted at least one")
    require_base(base, patches)
    with tracking.stage_run(run, "patch export", {"patches": [patch.digest for patch in patches]}) as nested:
        progress.report(0, 1)
        try:
            settings, tensors = as_adapter(skeleton(base), [u for patch in patches for u in read_updates(patch)])
        except ValueError as error:
            raise BadInputError(f"{base.name}: {error}") from None
        noted = adapter_files.Base(digest=base.digest, location=str(store.path(base)), parameters=base.parameters)
        tokenizer = load_tokenizer(base)

        def write(folder: Path) -> None:
            adapter_files.write_adapter(folder, settings, tensors, noted)
            tokenizer.save_pretrained(folder)

        digest = store.put("checkpoints", write, sensitivity=base.sensitivity)
        progress.report(1, 1)
        return CheckpointRef(
            kind="checkpoints",
            digest=digest,
            sensitivity=base.sensitivity,
            parameters=base.parameters,
            label=label,
            origin=nested or "",
        )
