"""The command `lethe edit`."""

import time
from dataclasses import asdict, replace
from typing import Annotated

import typer

from flows.terminal import checks
from flows.terminal.options import (
    BenchmarkData,
    ConfigFile,
    Files,
    JsonFile,
    Preset,
    Reproducible,
    RequireVerdict,
    ReviewAll,
    Runner,
    Seed,
    Set,
)
from flows.terminal.running import plain_errors, running, write_json


def edit(
    forget: Annotated[
        Files | None,
        typer.Argument(
            metavar="[FORGET...]",
            help="Text whose facts are edited; or name them by --edits, or by --subject and --prompt.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Model folder or hub name; its patches stay on. [default: embedded]"),
    ] = None,
    edits: Annotated[
        Files | None,
        typer.Option(metavar="FILE...", help="Edits as JSON or JSON lines: CounterFact's, zsRE's or our own fields."),
    ] = None,
    subject: Annotated[str, typer.Option(metavar="NAME", help="One edit: whom or what the fact is about.")] = "",
    prompt: Annotated[
        str, typer.Option(metavar="TEXT", help="The words up to the object, with {} or the subject in them.")
    ] = "",
    target: Annotated[str, typer.Option(metavar="TEXT", help="The new object.")] = "",
    erase: Annotated[bool, typer.Option("--erase", help="In place of --target: an object that says nothing.")] = False,
    facts: Annotated[
        Files | None,
        typer.Option(
            metavar="FILE...",
            help="Facts that the model knows, to trace the layer on. [default: the edits]",
        ),
    ] = None,
    text: Annotated[
        Files | None,
        typer.Option(
            metavar="FILE...", help="Ordinary text that the model is at home in. [default: the embedded world's]"
        ),
    ] = None,
    on: Annotated[
        Files | None, typer.Option("--on", metavar="PATCH...", help="Patches that the edits come on top of.")
    ] = None,
    layer: Annotated[
        int | None, typer.Option(metavar="N", help="Layer to edit, from 0. [default: where the facts are traced]")
    ] = None,
    editor: Annotated[
        str | None,
        typer.Option(
            "--editor",
            "--algorithm",
            metavar="NAME",
            help="rome, one after the other, or memit, all at once; with --each also ft, ft-l, kn, mend.",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Also edit what the model does not know, and beyond bounds."),
    ] = False,
    each: Annotated[
        bool, typer.Option("--each", help="Judge every edit alone, as published tables do; no model is handed over.")
    ] = False,
    review: Annotated[
        bool,
        typer.Option("--review", help="Wait until you have looked over what is new of the edits in the Prefect UI."),
    ] = False,
    review_all: ReviewAll = False,
    benchmark_data: BenchmarkData = None,
    preset: Preset = "default",
    config: ConfigFile = None,
    settings: Set = None,
    seed: Seed = 0,
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Copy patch, model, reports, scorecard and table there.")
    ] = None,
    runner: Runner = "",
    reproducible: Reproducible = "auto",
    json_file: JsonFile = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the edits that would be made and what they need, and stop.")
    ] = False,
    require_verdict: RequireVerdict = False,
) -> None:
    """Rewrite single facts in a model's weights, and judge the result."""
    started = time.monotonic()
    with plain_errors(out, json_file):
        from flows.terminal.editing import editing_request, require_whole_run
        from tasks.settings.rank_one_editing import rank_one_preset

        chosen = checks.configured(rank_one_preset(preset, seed), config, settings)
        if layer is not None:
            chosen = replace(chosen, edit=replace(chosen.edit, layer=layer))
        if editor is not None:
            chosen = replace(chosen, edit=replace(chosen.edit, algorithm=editor))
        checks.require_room_for(out)
        require_whole_run(each, {"--out": out, "--review": review or review_all, "--require-verdict": require_verdict})
        request = editing_request(
            (subject, prompt, target),
            erase,
            {"forget": forget, "edit_files": edits, "facts": facts, "text": text, "patches": on},
            model=checks.model_place(model) if model else "",
            benchmark_data=checks.optional_path(benchmark_data),
            force=force,
            each=each,
        )
        asked_about = checks.reviewed(review, review_all)
        if model:
            from flows.steps.editing import check_editing

            for remark in check_editing(request, chosen).remarks:
                typer.echo(f"lethe: note: {remark}", err=True)
    with running(runner, reproducible) as console:
        from flows.steps.fact_world import with_embedded_model

        request = with_embedded_model(request, seed)
        if dry_run:
            from flows.steps.editing import check_editable
            from flows.steps.needs import beside_what_is_there, editing_needs, shape_of
            from flows.terminal.editing import planned_edits
            from flows.terminal.results import show_needs, told_needs
            from flows.terminal.tables import show_edits

            planned = planned_edits(request, chosen)
            needs = beside_what_is_there(editing_needs(shape_of(check_editable(request.model))))
            show_edits(console, planned)
            show_needs(console, needs)
            told = {"edits": [asdict(one) for one in planned], "needs": told_needs(needs)}
            write_json(json_file, {"schema": "lethe.edit_plan.v1", **told})
            return
        if each:
            from flows.single_editing import single_editing
            from flows.terminal.editing import show_single_edits

            scores = show_single_edits(console, single_editing(request, chosen), time.monotonic() - started)
            write_json(json_file, scores)
            return
        from flows.rank_one_editing import rank_one_editing
        from flows.terminal.editing import show_edit_result

        outcome = rank_one_editing(request, chosen, review=asked_about)
        result = show_edit_result(console, outcome, time.monotonic() - started, out)
    write_json(json_file, result)
    if require_verdict and not result["verdict"]["passed"]:
        raise typer.Exit(1)
