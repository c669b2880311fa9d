"""The commands `lethe up` and `lethe down`."""

from typing import Annotated

import typer

from flows.terminal.options import JsonFile
from flows.terminal.running import plain_errors, write_json
from tasks.settings.servers import ServersConfig

_DEFAULT = ServersConfig()


def up(
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help=(
                "Address on which both servers listen; any but loopback demands a password of whoever asks."
                f" [default: {_DEFAULT.host}]"
            ),
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="What browsers and other machines call this machine. Repeatable; the first is shown."
        ),
    ] = None,
    prefect_port: Annotated[
        int | None, typer.Option(metavar="PORT", help=f"Port of Prefect. [default: {_DEFAULT.prefect_port}]")
    ] = None,
    mlflow_port: Annotated[
        int | None, typer.Option(metavar="PORT", help=f"Port of MLflow. [default: {_DEFAULT.mlflow_port}]")
    ] = None,
    auth: Annotated[bool | None, typer.Option("--auth", help="Demand a password on loopback too.")] = None,
    pool: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"Work pool of the worker, made if missing. [default: {_DEFAULT.pool}]"),
    ] = None,
    worker: Annotated[bool | None, typer.Option("--no-worker", help="Start no worker.")] = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay, and end them on Ctrl-C.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Start Prefect's server, MLflow's server and a worker in the background; commands of this store then use them."""
    from flows.terminal import servers

    given = {
        "host": host,
        "names": tuple(name) if name else None,
        "prefect_port": prefect_port,
        "mlflow_port": mlflow_port,
    }
    given |= {"auth": auth, "pool": pool, "worker": None if worker is None else not worker}
    changes = {option: value for option, value in given.items() if value is not None}
    with plain_errors(json_file=json_file):
        known, started = _started(changes)
        for title, place in servers.places(known).items():
            typer.echo(f"{title:15} {place}")
        if not started:
            typer.echo("They run already.")
        write_json(json_file, {"schema": "lethe.servers.v1", "started": started, **servers.places(known)})
    if foreground and started:
        _stay(known)


def _started(changes: dict) -> tuple:
    from flows.terminal import servers

    try:
        return servers.bring_up(changes, lambda line: typer.echo(f"  {line}", err=True))
    except RuntimeError as error:
        typer.echo(f"lethe: {error}", err=True)
        raise typer.Exit(1) from None


def _stay(known: object) -> None:
    from flows.steps import interruption
    from flows.terminal import servers

    died = ""
    try:
        died = servers.wait_on(known)
        typer.echo(f"lethe: {died}", err=True)
    except KeyboardInterrupt:
        interruption.forget()  # ending them in order takes longer than a command has
    servers.take_down()
    typer.echo("Ended.")
    if died:
        raise typer.Exit(1)


def down() -> None:
    """End what `lethe up` started: the worker with its flow runs, which go on when they are started again, and both
    servers.
    """
    from flows.terminal import servers

    with plain_errors():
        ended = servers.take_down()
    typer.echo(f"Ended: {', '.join(ended)}." if ended else "Nothing runs.")
