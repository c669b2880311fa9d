"""Flow `patch-model`: a base model with patches on it, as a whole model or as an adapter beside it.

Stacking and taking out are lists: what is wanted is always the base plus some patches in order, computed anew, so that
a patch that is left out leaves nothing behind.
"""

from dataclasses import dataclass
from typing import Literal

from prefect.runtime import flow_run

from flows.steps.flow_runs import flow
from flows.steps.outcome import Stages
from flows.steps.prefect_ui import show_run
from flows.steps.tracked_runs import Told, open_run
from tasks import store, tracking
from tasks.artifacts import CheckpointRef, EditPatch
from tasks.models.gathering import find_model
from tasks.models.patch_files import ABOUT, SHOWN, open_patch
from tasks.models.patched_models import moved, require_base
from tasks.models.weights import identify
from tasks.patch_export import export_patches
from tasks.patches import apply_patches

METHOD = "patches"
EDITED = "edited"
"""Label of the model."""
FORMS = {"model": apply_patches, "peft": export_patches}
Form = Literal["model", "peft"]


@dataclass(frozen=True, kw_only=True)
class PatchedModel:
    """What the flow made."""

    model: CheckpointRef
    """Without patches the base itself."""
    base: CheckpointRef
    weights: str
    """Digest of the base's weights."""
    patches: tuple[EditPatch, ...]
    mlflow_run: str
    flow_run: str
    flow_run_name: str

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know of patches that stand on others than those they were computed on; every edit of the list is
        then to be scored again.
        """
        return tuple(
            f"patch {digest[:SHOWN]} was computed on other patches than it now stands on"
            f" ({', '.join(below[:SHOWN] for below in standing) or 'none'})"
            for digest, standing in moved(self.patches).items()
        )


@flow(name="patch-model", log_prints=False, validate_parameters=True)
def patch_model(base: str, patches: list[str], form: Form = "model") -> PatchedModel:
    """Add patches to a base model.

    Args:
        base: A model folder (safetensors) or a hub name.
        patches: Folders, or digests in the store; in order. None: the base itself.
        form: `model`, the base with changed weights, or `peft`, an adapter of the base.

    Raises:
        BadInputError: If base or patches cannot be had, or do not belong together.
    """
    model, chosen = find_model(base, "target"), tuple(open_patch(name) for name in patches)
    require_base(model, chosen)
    weights = identify(model)
    params = {"base": weights, "form": form, "patches": [patch.digest for patch in chosen]}
    run = open_run(Told(method=METHOD, model=weights, params=params))
    try:
        show_run(run)
        made = model
        if chosen or form != "model":
            made = Stages(run=run).result(METHOD, FORMS[form].submit(model, chosen, EDITED, run))
        result = PatchedModel(
            model=made,
            base=model,
            weights=weights,
            patches=chosen,
            mlflow_run=run,
            flow_run=str(flow_run.id),
            flow_run_name=str(flow_run.name),
        )
        _publish(result)
    except BaseException as error:
        tracking.close_after(error, run)
        raise
    tracking.close(run)
    return result


def _publish(made: PatchedModel) -> None:
    """Put what anyone may know of the patches into MLflow; what was edited stays in the store."""
    for number, patch in enumerate(made.patches, 1):
        tracking.log_artifact(made.mlflow_run, store.path(patch) / ABOUT, "public", f"patches/{number}")
    counts = {"patches": len(made.patches), "edits": sum(patch.edits for patch in made.patches)}
    tracking.log_metrics(made.mlflow_run, {name: float(count) for name, count in counts.items()})
    if made.notes:
        tracking.set_tags(made.mlflow_run, {"lethe.score_again": "; ".join(made.notes)})
