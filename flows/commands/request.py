"""The commands of `lethe request`: the register of removal requests."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.terminal import checks
from flows.terminal.options import Anchors, Files, JsonFile
from flows.terminal.running import plain_errors, plain_failures, write_json

if TYPE_CHECKING:
    from tasks.removals.records import Removal
    from tasks.settings.removal_requests import RemovalRequest

request = typer.Typer(
    name="request",
    no_args_is_help=True,
    help=(
        "The register of removal requests: who asked for what, until when, and what has become of it. Enter one with"
        " [bold]add[/], carry it out with [bold]lethe unlearn --request R-0001[/], look with [bold]list[/] and"
        " [bold]show[/]."
    ),
)
Id = Annotated[str, typer.Argument(metavar="ID", help="Of the request, such as R-0001.", show_default=False)]


@request.command()
def add(
    subject: Annotated[
        str, typer.Option(metavar="NAME", help="Who or what is to be forgotten, as you call it.", show_default=False)
    ],
    forget: Annotated[Files, typer.Option(metavar="FILE...", help="Text, files or folders, that is to be forgotten.")],
    model: Annotated[
        str, typer.Option(metavar="MODEL", help="Model folder, hub name or models:/NAME@ALIAS.", show_default=False)
    ],
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why: a law, a contract, a complaint.", show_default=False)
    ],
    due: Annotated[str, typer.Option(metavar="DATE", help="Until when, a day: YYYY-MM-DD.", show_default=False)],
    retain: Annotated[Files | None, typer.Option(metavar="FILE...", help="Text to keep, used in training.")] = None,
    forget_test: Annotated[
        Files | None,
        typer.Option(metavar="FILE...", help="Same topic, used in no stage. (default: last 15 % of --forget)"),
    ] = None,
    retain_test: Annotated[
        Files | None,
        typer.Option(metavar="FILE...", help="To keep, used in no stage. (default: last 15 % of --retain)"),
    ] = None,
    sibling: Annotated[
        Files | None, typer.Option(metavar="FILE...", help="A near topic the model should keep, used in no stage.")
    ] = None,
    general: Annotated[Files | None, typer.Option(metavar="FILE...", help="Ordinary prose, used in no stage.")] = None,
    holdout: Annotated[Files | None, typer.Option(metavar="FILE...", help="Text the model never saw.")] = None,
    retrained: Annotated[
        str | None, typer.Option(metavar="MODEL", help="A model trained without it: the gold standard.")
    ] = None,
    anchors: Anchors = None,
    method: Annotated[str, typer.Option(help="How to unlearn; auto: chosen by trials.")] = "whp",
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who asked. (default: your account)")] = "",
    supersedes: Annotated[
        str, typer.Option(metavar="ID", help="The request in whose place this one stands.", show_default=False)
    ] = "",
    approve: Annotated[
        bool,
        typer.Option("--approve", help="Let the alias `unlearned` wait until `lethe request approve`."),
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Enter a removal request; nothing is trained yet.

    Names, reason and files stay in your store, and lethe purge deletes them; MLflow gets digests, states and dates.
    """
    with plain_failures(), plain_errors(None, json_file):
        from tasks.removals.records import require_to_come
        from tasks.settings.removal_requests import RemovalRequest

        require_to_come(due)  # before models are read
        files = {
            "forget": forget,
            "retain": retain,
            "forget_test": forget_test,
            "retain_test": retain_test,
            "sibling": sibling,
            "general": general,
            "holdout": holdout,
            "anchors": anchors,
        }
        text = checks.as_request(**files, model=model, retrained=retrained)
        wanted = RemovalRequest(
            subject=subject, reason=reason, due=due, text=text, method=method, asked_by=by, approve=approve
        )
        added = _enter(wanted, supersedes)
        typer.echo(f"{added.id} received, due {added.due}. Carry it out: lethe unlearn --request {added.id}")
        write_json(json_file, _as_json(added))


def _enter(wanted: "RemovalRequest", supersedes: str) -> "Removal":
    """Check what is wanted as a run would, and enter it."""
    from flows.methods import AUTOMATIC, METHODS
    from flows.methods import method as find_method
    from tasks.corpus import gather_inputs
    from tasks.models.gathering import find_model
    from tasks.removals import register, states
    from tasks.removals.records import require_leading_to

    method = find_method(wanted.method, METHODS | AUTOMATIC)
    earlier = register.find(supersedes) if supersedes else None
    if earlier:
        require_leading_to(earlier, "superseded")
    config = method.preset("default", 0)
    method.require_text()(wanted.text, config)
    text = checks.checked_models(checks.checked_files(wanted.text), config.corpus)
    inputs, target = gather_inputs(**text.files()).by_split(), find_model(text.model, "target")
    added = register.add(replace(wanted, text=text), target, inputs)
    if earlier:
        states.supersede(earlier.id, added)
    return added


@request.command("list")
def list_all(
    is_open: Annotated[bool, typer.Option("--open", help="Only those that are yet to be verified.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Show all requests: state, due day, method, model, and what your store knows of whom they are about."""
    with plain_failures(), plain_errors(None, json_file):
        from rich.console import Console

        from flows.terminal.requests import requests_table
        from tasks.removals.records import as_json
        from tasks.removals.register import all_requests

        found = [one for one in all_requests() if not is_open or (one.is_in_force and one.state != "verified")]
        if found:
            Console().print(requests_table(found))
        else:
            typer.echo("No removal requests. Enter one with lethe request add.")
        write_json(json_file, {"schema": "lethe.requests.v1", "requests": [as_json(one) for one in found]})


@request.command()
def show(name: Id, json_file: JsonFile = None) -> None:
    """Show a request: what it asks for, its history, and the registered versions that were made for it."""
    with plain_failures(), plain_errors(None, json_file):
        from rich.console import Console

        from flows.terminal.requests import show_request
        from tasks.removals.register import find

        removal = find(name)
        show_request(Console(), removal)
        write_json(json_file, _as_json(removal))


@request.command()
def cancel(name: Id, json_file: JsonFile = None) -> None:
    """End a request that is no longer wanted; what was made for it stays."""
    with plain_failures(), plain_errors(None, json_file):
        from flows.steps.forms import clear_ended
        from tasks.removals.states import cancel as cancel_request

        clear_ended()
        cancelled = cancel_request(name)
        typer.echo(f"{cancelled.id} cancelled.")
        write_json(json_file, _as_json(cancelled))


@request.command()
def approve(name: Id, json_file: JsonFile = None) -> None:
    """Approve of the version that waits for it, and point the alias `unlearned` to it."""
    with plain_failures(), plain_errors(None, json_file):
        from tasks.removals.aliases import approve as approve_version
        from tasks.removals.register import find

        approved = approve_version(find(name))
        typer.echo(f"Approved: `unlearned` is {approved.name} version {approved.number}.")
        write_json(json_file, _as_json(find(name)))


def _as_json(removal: "Removal") -> dict[str, Any]:
    from flows.terminal.requests import whole_request

    return {"schema": "lethe.request.v1", **whole_request(removal)}
