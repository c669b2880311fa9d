"""The `lethe` command: its commands, one file each, and how it ends."""

import sys

import typer

from flows.commands.certificate import certificate
from flows.commands.compare import compare
from flows.commands.demo import demo
from flows.commands.edit import edit
from flows.commands.evaluate import evaluate
from flows.commands.gc import gc
from flows.commands.patch import patch
from flows.commands.purge import purge
from flows.commands.request import request
from flows.commands.servers import down, up
from flows.commands.sweep import sweep
from flows.commands.trace import trace
from flows.commands.unlearn import unlearn
from flows.steps import interruption
from flows.terminal.options import spread_lists

app = typer.Typer(
    name="lethe",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help=(
        "Unlearn a text from a language model, and prove it. Start with [bold]lethe demo[/]: ten minutes, nothing to"
        " download."
    ),
)


@app.callback()
def _start() -> None:
    from flows.terminal import environment

    environment.prepare()


for _command in (demo, unlearn, edit, trace, evaluate, compare, sweep, purge, gc, up, down):
    app.command()(_command)
app.add_typer(patch)
app.add_typer(certificate)
app.add_typer(request)

STOPPED = 130
"""Exit status after Ctrl-C."""


def main() -> None:
    """Run the command line; Ctrl-C exits with 130, SIGTERM with 143 and soon."""
    interruption.listen()
    try:
        status = app(args=spread_lists(sys.argv[1:]), standalone_mode=False)
    # an option or argument that does not parse; empty where help was shown instead
    except typer.TyperException as error:
        if message := " ".join(error.format_message().split()):
            typer.echo(f"lethe: {message}", err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        status = STOPPED
    except BaseException:  # what libraries make of SIGTERM
        if not interruption.asked():
            raise
        status = STOPPED
    if status == STOPPED:  # which is also what the parser makes of Ctrl-C
        status = interruption.status()
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
