"""Stage `patches`: a base model with patches added to its weights, one after the other."""

import shutil
from pathlib import Path

from tasks import store, tracking
from tasks.artifacts import BadInputError, CheckpointRef, EditPatch, EditRun
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.models.checkpoints import GUARDRAIL
from tasks.models.loading import handled_dtype, load_model, load_tokenizer, save_checkpoint
from tasks.models.patch_files import read_updates
from tasks.models.patched_models import require_base, write_list


@stage("patches")
def apply_patches(
    base: CheckpointRef, patches: tuple[EditPatch | EditRun, ...], label: str, run: str | None = None
) -> CheckpointRef:
    """Return the base with patches added in their order, as a whole model that lists them.

    Raises:
        BadInputError: If there are none, one belongs to other weights, or the architecture cannot be edited.
    """
    from tasks.algorithms.editing.patches import add_updates

    patches = tuple(each.patch if isinstance(each, EditRun) else each for each in patches)
    if not patches:
        raise BadInputError("no patches to add; wanted at least one, or the base itself")
    require_base(base, patches)
    with tracking.stage_run(run, "patches", {"patches": [patch.digest for patch in patches]}) as nested:
        progress.report(0, 1)
        model, tokenizer = load_model(base, exact=True), load_tokenizer(base)
        try:
            add_updates(model, [update for patch in patches for update in read_updates(patch)], handled_dtype(base))
        except ValueError as error:
            raise BadInputError(f"{base.name}: {error}") from None
        guarded = store.path(base) / GUARDRAIL

        def beside(folder: Path) -> None:
            write_list(folder, patches)
            if guarded.is_file():
                shutil.copyfile(guarded, folder / GUARDRAIL)

        sensitivity = "forget" if guarded.is_file() else base.sensitivity
        patched = save_checkpoint(model, tokenizer, label, sensitivity=sensitivity, origin=nested, beside=beside)
        progress.report(1, 1)
        return patched
