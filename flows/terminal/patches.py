"""What the commands of `lethe patch` print and hand over."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.patching import PatchedModel
from flows.steps.prefect_ui import prefect_place
from tasks import store, tracking
from tasks.artifacts import EditPatch
from tasks.models import adapter_files
from tasks.models.patch_files import SHOWN
from tasks.models.patched_models import LIST, read_list
from tasks.models.weights import folder_digest


def handed_over(made: PatchedModel, out: str | None) -> Path:
    """Return where the model is, after copying it where it was asked for and looking at the copy: it must hold what was
    made.

    Raises:
        BadInputError: If it does not.
    """
    source = store.path(made.model)
    if not out:
        return source
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.iterdir()):
        if file.is_file() and file.name != store.MANIFEST:
            shutil.copyfile(file, folder / file.name)
    if (source / LIST).is_file():
        read_list(folder)
    elif adapter_files.noted_base(folder) is None and folder_digest(folder) != made.weights:
        raise OSError(f"{folder} does not hold the base's weights; wanted {made.weights[:SHOWN]}")
    return folder


def show_patched(console: Console, made: PatchedModel, folder: Path) -> dict[str, Any]:
    """Print the patches of a model, what to know of them, and where to look; return it as machines read it.

    Args:
        console: Where to print.
        made: What the flow made.
        folder: Where the model is.
    """
    edits = sum(patch.edits for patch in made.patches)
    if made.patches:
        console.print(patches_table(made.patches))
    else:
        console.print("No patch is left: this is the base.")
    for note in made.notes:
        console.print(note, markup=False, highlight=False)
    if made.notes:
        console.print(f"Score every edit left again: {edits}.", highlight=False)
    address, how = tracking.run_address(made.mlflow_run)
    places = {
        "Model": str(folder),
        "Base": f"{made.base.name} (weights {made.weights[:SHOWN]})",
        "MLflow": f"{address} ({how})",
        "Prefect": prefect_place(made.flow_run, made.flow_run_name),
    }
    for name, place in places.items():
        console.print(f"{name:<8}{place}", markup=False, highlight=False, soft_wrap=True)
    return {
        "schema": "lethe.patched_model.v1",
        "model": str(folder),
        "base": {"weights": made.weights, "model": str(store.path(made.base))},
        "patches": [
            {name: value for name, value in asdict(patch).items() if name not in ("kind", "sensitivity", "location")}
            for patch in made.patches
        ],
        "edits": edits,
        "notes": list(made.notes),
        "score_again": bool(made.notes),
        "mlflow_run": made.mlflow_run,
        "prefect_flow_run": made.flow_run,
    }


def patches_table(patches: tuple[EditPatch, ...]) -> Table:
    """Return a row a patch, in their order."""
    table = Table(title="Patches, in order", title_justify="left", header_style="bold")
    for column in ("patch", "layers", "rank", "edits", "computed on"):
        table.add_column(column, no_wrap=column == "patch", justify="right" if column in ("rank", "edits") else "left")
    for patch in patches:
        layers = ", ".join(str(layer) for layer in patch.layers)
        table.add_row(patch.digest[:SHOWN], layers, str(patch.rank), str(patch.edits), _computed_on(patch))
    return table


def _computed_on(patch: EditPatch) -> str:
    return ", ".join(digest[:SHOWN] for digest in patch.computed_on) or "the base alone"


def show_patch(patch: EditPatch, about: dict[str, Any], edits: list[dict[str, Any]], console: Console) -> None:
    """Print a patch: its layers, what was edited, and what it belongs to."""
    table = Table(title=f"Patch {patch.digest[:SHOWN]}", title_justify="left", header_style="bold")
    for column in ("layer", "rank", "norm"):
        table.add_column(column, justify="right")
    for entry in about["layers"]:
        table.add_row(str(entry["layer"]), str(entry["rank"]), f"{entry['norm']:.4g}")
    console.print(table)
    edited = Table(title=f"{patch.edits} edits", title_justify="left", header_style="bold")
    for column in ("subject", "prompt", "object", "new object"):
        edited.add_column(column)
    for edit in edits:
        edited.add_row(*(escape(str(edit.get(name, ""))) for name in ("subject", "prompt", "object", "target")))
    console.print(edited)
    place = store.noted_place(patch.base)
    lines = {
        "Folder": str(store.path(patch)),
        "Model": about["model_type"],
        "Base": f"weights {patch.base[:SHOWN]}, {f'last seen at {place}' if place else 'never seen here'}",
        "Computed on": _computed_on(patch),
    }
    for name, line in lines.items():
        console.print(f"{name:<13}{line}", markup=False, highlight=False, soft_wrap=True)
