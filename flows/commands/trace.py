"""The command `lethe trace`."""

import time
from dataclasses import replace
from typing import Annotated

import typer

from flows.terminal import checks
from flows.terminal.options import ConfigFile, Files, JsonFile, Reproducible, Runner, Seed, Set
from flows.terminal.running import plain_errors, running, write_json


def trace(
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Model folder or hub name. [default: the embedded fact model]"),
    ] = None,
    subject: Annotated[str, typer.Option(metavar="NAME", help="One fact: whom or what it is about.")] = "",
    prompt: Annotated[
        str, typer.Option(metavar="TEXT", help="The words up to the object, with {} or the subject in them.")
    ] = "",
    facts: Annotated[
        Files | None,
        typer.Option(metavar="FILE...", help="Files of facts, or of edits that say what the object is today."),
    ] = None,
    config: ConfigFile = None,
    settings: Set = None,
    seed: Seed = 0,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Copy pictures and tables there.")] = None,
    runner: Runner = "",
    reproducible: Reproducible = "auto",
    json_file: JsonFile = None,
) -> None:
    """Find where a model holds facts: which layer, at which word."""
    started = time.monotonic()
    with plain_errors(out, json_file):
        from flows.steps.editing import check_editable, facts_to_trace
        from flows.terminal.tracing import tracing_request
        from tasks.settings.rank_one_editing import rank_one_preset

        chosen = checks.configured(rank_one_preset("default", seed), config, settings)
        checks.require_room_for(out)
        request = tracing_request(model, subject, prompt, facts)
        if model or request.edit_files or request.facts:
            facts_to_trace(request)
        if model:
            check_editable(model)
    with running(runner, reproducible) as console:
        from flows.steps.fact_world import with_embedded_model
        from flows.terminal.tracing import show_trace
        from flows.tracing import trace as trace_flow

        embedded = with_embedded_model(request, seed)
        if request.edit_files or request.facts:  # those that were asked for, and not the world's beside them
            embedded = replace(embedded, edit_files=request.edit_files, facts=request.facts)
        traced = trace_flow(embedded, chosen)
        result = show_trace(console, traced, time.monotonic() - started, out)
    write_json(json_file, result)
