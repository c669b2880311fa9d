"""A run that is small and whole: Prefect's temporary server, a run in MLflow, and two stages in processes of their own,
the second of which takes as long as is asked. Called as a program, it counts computations in a folder.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import psutil

from tests.stand_ins.command import ROOT, environment

TEXT = "hello"


def started(
    home: Path, counter: Path, *words: str, said: IO[str] | None = None, **changes: str
) -> "subprocess.Popen[str]":
    """Start a run in a session of its own.

    Args:
        home: Its LETHE_HOME, PREFECT_HOME is beside it; a first run makes the databases.
        counter: Folder that gets a file for every computation.
        words: Text, seconds that the second stage takes, and `here` where stages need no processes of their own.
        said: Where its standard error goes; None: to a pipe.
        changes: Of its environment.
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": said or subprocess.PIPE}
    command = [sys.executable, "-m", "tests.stand_ins.runs", str(counter), *words]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment(home, new=True, **changes), text=True, start_new_session=True, **pipes
    )


def family(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Return a process and all that it started, as far as they still hang together."""
    try:
        whole = psutil.Process(process.pid)
        return [whole, *whole.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill(process: "subprocess.Popen[str]") -> None:
    """SIGKILL a run, its process group and all of its children in sessions of their own, at once."""
    found = family(process)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    for one in found:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue


def main(counter: str, text: str = TEXT, seconds: str = "0", where: str = "apart") -> None:
    """Carry out the run under the command's own roof, and print the digest of what it made."""
    from flows.steps import interruption
    from flows.terminal import environment as surroundings

    interruption.listen()
    surroundings.prepare()
    try:
        _run(counter, text, float(seconds), where == "apart")
    except BaseException:
        if not interruption.asked():
            raise
        sys.exit(interruption.status())


def _run(counter: str, text: str, seconds: float, apart: bool) -> None:
    import typer

    from flows.terminal.running import running

    try:
        with running():
            from tests.stand_ins.small_flow import small

            print(small(counter, text, seconds, apart), flush=True)
    except typer.Exit as ended:
        sys.exit(ended.exit_code)


if __name__ == "__main__":
    main(*sys.argv[1:])
