"""The commands of `lethe patch`: an edit as a small file that is shown, applied, stacked, taken out, exported."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from flows.terminal import checks
from flows.terminal.options import Files, JsonFile
from flows.terminal.running import plain_errors, running, write_json

if TYPE_CHECKING:
    from tasks.artifacts import CheckpointRef, EditPatch

patch = typer.Typer(
    name="patch",
    no_args_is_help=True,
    help="Edits as patches: small files beside their base model, applied, stacked, taken out, exported.",
)
Patches = Annotated[
    Files,
    typer.Argument(
        metavar="PATCH...", help="Folders of patches, or the first letters of their digests.", show_default=False
    ),
]
Base = Annotated[
    str,
    typer.Option("--model", metavar="MODEL", help="The base model: a folder or hub name.", show_default=False),
]
Patched = Annotated[
    str,
    typer.Option("--model", metavar="MODEL", help="A model with patches: its folder.", show_default=False),
]
Where = Annotated[
    str | None,
    typer.Option("--base", metavar="MODEL", help="The base model. [default: where it was last seen]"),
]
Out = Annotated[str | None, typer.Option(metavar="DIR", help="Copy the model there; a new or empty folder.")]
Wanted = tuple["CheckpointRef", list["EditPatch"]]
"""Base and patches in order."""


@patch.command()
def show(
    name: Annotated[
        str, typer.Argument(metavar="PATCH", help="Its folder, or the first letters of its digest.", show_default=False)
    ],
    json_file: JsonFile = None,
) -> None:
    """Show a patch: layers, ranks and norms, what was edited, its base, and the patches that it was computed on."""
    with plain_errors(None, json_file):
        from rich.console import Console

        from flows.terminal.patches import show_patch
        from tasks import store
        from tasks.models.patch_files import open_patch, read_about, read_edits

        found = open_patch(name)
        about, edits = read_about(found), read_edits(store.path(found))
        show_patch(found, about, edits, Console())
        write_json(json_file, {**about, "digest": found.digest, "requests": edits})


@patch.command()
def apply(patches: Patches, model: Base, out: Out = None, json_file: JsonFile = None) -> None:
    """Add patches to their base, in the order given."""
    _make(lambda: _on_base(model, patches), "model", out, json_file)


@patch.command()
def stack(patches: Patches, model: Patched, base: Where = None, out: Out = None, json_file: JsonFile = None) -> None:
    """Add patches to a model that has some: base, its patches, then these."""

    def wanted() -> Wanted:
        from tasks.models.patch_files import open_patch
        from tasks.models.patched_models import taken_apart

        found = taken_apart(model, base)
        return found.base, [*found.patches, *(open_patch(name) for name in patches)]

    _make(wanted, "model", out, json_file)


@patch.command()
def revert(patches: Patches, model: Patched, base: Where = None, out: Out = None, json_file: JsonFile = None) -> None:
    """Take patches out of a model: base plus the others in their order, as if these had never been applied."""

    def wanted() -> Wanted:
        from tasks.models.patched_models import taken_apart, taken_out

        found = taken_apart(model, base)
        return found.base, list(taken_out(found, patches))

    _make(wanted, "model", out, json_file)


@patch.command()
def export(
    patches: Patches,
    model: Where = None,
    form: Annotated[str, typer.Option("--format", metavar="NAME", help="`peft`: one low-rank adapter.")] = "peft",
    out: Out = None,
    json_file: JsonFile = None,
) -> None:
    """Write patches as an adapter that peft loads onto their base, and servers of adapters serve."""

    def wanted() -> Wanted:
        from tasks.models.patch_files import open_patch
        from tasks.models.patched_models import find_base

        if form != "peft":
            raise ValueError(f"--format {form}: unknown; wanted peft")
        chosen = [open_patch(name) for name in patches]
        return find_base(chosen[0].base, model), chosen

    _make(wanted, "peft", out, json_file)


def _on_base(model: str, patches: list[str]) -> Wanted:
    from tasks.models.gathering import find_model
    from tasks.models.patch_files import open_patch

    return find_model(model, "target"), [open_patch(name) for name in patches]


def _make(wanted: Callable[[], Wanted], form: str, out: str | None, json_file: str | None) -> None:
    """Check what is wanted, make it, hand it over and show it."""
    with plain_errors(out, json_file):
        from tasks import store
        from tasks.models.patched_models import require_base

        checks.require_room_for(out)
        base, patches = wanted()
        require_base(base, patches)
    with running() as console:
        from flows.patching import patch_model
        from flows.terminal.patches import handed_over, show_patched

        made = patch_model(str(store.path(base)), [each.digest for each in patches], form)
        write_json(json_file, show_patched(console, made, handed_over(made, out)))
