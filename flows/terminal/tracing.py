"""What `lethe trace` is given, prints and hands over."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.steps.prefect_ui import prefect_place
from flows.terminal import checks
from flows.terminal.editing import in_a_file
from flows.terminal.tables import show_places
from tasks import store, tracking
from tasks.neurons import FILE
from tasks.settings.editing_request import EditingRequest
from tasks.storage.plain_files import read_json
from tasks.storage.trace_files import read_effects, read_grids, read_traced_facts

if TYPE_CHECKING:
    from flows.tracing import Traced

STATE = "mlp"
"""What the table of average effects shows: where an edit is made."""


def tracing_request(model: str | None, subject: str, prompt: str, facts: list[str] | None) -> EditingRequest:
    """Return options as a request; the fact of `--subject` and `--prompt` in a file of its own.

    Raises:
        ValueError: If one of the two is missing, or the subject is not in the prompt.
    """
    from tasks.inputs.edit_requests import as_request

    if bool(subject) != bool(prompt):
        raise ValueError(f"--{'prompt' if subject else 'subject'} missing; wanted --subject and --prompt together")
    # what it would be rewritten to is not read
    typed = (in_a_file(as_request(subject, prompt, subject)),) if subject else ()
    files = tuple(map(checks.absolute, facts or ()))
    return EditingRequest(model=checks.model_place(model) if model else "", edit_files=typed, facts=files)


def show_trace(console: Console, outcome: "Traced", seconds: float, out: str | None) -> dict[str, Any]:
    """Print effects and where to look, copy the pictures where it was asked for, and return everything as machines read
    it.
    """
    traced, folder = outcome.traced, store.path(outcome.traced)
    facts, effects = read_traced_facts(traced), read_effects(traced)
    if out:
        Path(out).mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            if file.name != store.MANIFEST:
                shutil.copy(file, out)
    if len(facts) == 1:
        console.print(grid_table(facts[0], read_grids(traced)[0][STATE]))
    else:
        console.print(effects_table(effects, len(facts)))
    total = sum(fact.clean - fact.corrupted for fact in facts) / len(facts)
    console.print(
        f"The layer to edit is {traced.layer}. Noise on the subject takes {total:.3f} off the answer's probability.",
        highlight=False,
    )
    if traced.unknown:
        console.print(f"{traced.unknown} facts were left out: the model does not know them.", highlight=False)
    neurons = read_json(store.path(outcome.neurons) / FILE)
    show_neurons(console, neurons)
    place, (address, how) = Path(out or folder), tracking.run_address(outcome.mlflow_run)
    pictures = sorted(file.name for file in folder.glob("*.png"))
    places = {
        "Pictures": ", ".join(str(place / name) for name in pictures[:2]) + (" ..." if len(pictures) > 2 else ""),
        "MLflow": f"{address} ({how})",
        "Prefect": prefect_place(outcome.flow_run, outcome.flow_run_name),
    }
    console.print()
    show_places(console, places)
    return {
        "schema": "lethe.trace.v1",
        "seconds": round(seconds, 1),
        "layer": traced.layer,
        "facts": [
            {"subject": fact.subject, "prompt": fact.prompt, "object": fact.object}
            | {"clean": fact.clean, "corrupted": fact.corrupted}
            for fact in facts
        ],
        "unknown": traced.unknown,
        "effects": effects,
        "neurons": neurons,
        "pictures": [str(place / name) for name in pictures],
        "mlflow_run": outcome.mlflow_run,
        "prefect_flow_run": outcome.flow_run,
    }


def show_neurons(console: Console, found: dict[str, Any]) -> None:
    """Print the neurons of the first fact, and over many facts what setting them to zero does."""
    first, effect = next(iter(found["facts"]), None), found["effect"]
    if first and first["neurons"]:
        table = Table(title=f"Neurons of layer {found['layer']}", title_justify="left", header_style="bold")
        for column in ("neuron", "attribution", "activation", "correlation\nwith the answer"):
            table.add_column(column, justify="right")
        for row in first["neurons"]:
            numbers = (f"{row[name]:.3f}" for name in ("attribution", "activation", "correlation"))
            table.add_row(str(row["neuron"]), *numbers)
        console.print(table)
        one = first["ablated"]
        words = f"p({first['object']}) {one['untouched']:.3f}; without them {one['chosen']:.3f}"
        console.print(f"{words}, without as many others {one['others']:.3f}", markup=False, highlight=False)
    if effect:
        chosen, others = effect["chosen"], effect["others"]
        console.print(
            f"Over {effect['facts']} facts they take {chosen['mean']:.3f} ({chosen['low']:.3f} to {chosen['high']:.3f})"
            f" off the answer's probability, as many others {others['mean']:.3f} ({others['low']:.3f} to"
            f" {others['high']:.3f}).",
            highlight=False,
        )


def effects_table(effects: list[dict[str, Any]], facts: int) -> Table:
    """Return the average indirect effect of MLP windows, a row a token role, a column a layer."""
    table = Table(
        title=f"Average indirect effect of MLPs over {facts} facts", title_justify="left", header_style="bold"
    )
    shown = [effect for effect in effects if effect["state"] == STATE]
    layers = sorted({effect["layer"] for effect in shown})
    table.add_column("token", no_wrap=True)
    for layer in layers:
        table.add_column(str(layer), justify="right")
    for role in dict.fromkeys(effect["role"] for effect in shown):
        by_layer = {effect["layer"]: effect for effect in shown if effect["role"] == role}
        table.add_row(role, *(_cell(by_layer[layer]["mean"]) for layer in layers))
    return table


def grid_table(fact: Any, grid: Any) -> Table:
    """Return p(object) with a window of MLPs put back, a row a token, a column a layer."""
    title = (
        f"p({fact.object}): clean {fact.clean:.3f}, with noise {fact.corrupted:.3f}; with MLPs put back around layer"
    )
    table = Table(title=Text(title), title_justify="left", header_style="bold")
    table.add_column("token", no_wrap=True)
    for layer in range(len(grid)):
        table.add_column(str(layer), justify="right")
    start, stop = fact.span
    for number, token in enumerate(fact.tokens):
        marked = f"{token.strip() or repr(token)}{'*' if start <= number < stop else ''}"
        table.add_row(Text(marked), *(_cell(grid[layer][number].item()) for layer in range(len(grid))))
    return table


def _cell(value: float) -> str:
    return f"{value:.3f}"
