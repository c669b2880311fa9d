"""Progress of the stages on the terminal: bars for a person, plain lines for a file."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, ConsoleRenderable, RenderHook
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from tasks.execution import progress
from tasks.execution.progress import Progress as Found


@contextmanager
def progress_bars(console: Console, results: Console) -> Iterator[None]:
    """Show one line a stage: a bar in a terminal, a plain line at the end of each stage elsewhere. Results come below:
    from their first word on, bars stand still.
    """
    if not console.is_terminal:
        stop = progress.listen(_PlainLines())
        try:
            yield
        finally:
            stop()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bars:
        lines: dict[str, TaskID] = {}
        showing = threading.Lock()  # stages report from threads of their own

        def show(reported: Found) -> None:
            with showing:
                if reported.stage not in lines:
                    lines[reported.stage] = bars.add_task(reported.stage, total=reported.total, note="")
            bars.update(lines[reported.stage], completed=reported.done, total=reported.total, note=reported.note)

        stop = progress.listen(show)
        results.push_render_hook(_Before(bars.stop))
        try:
            yield
        finally:
            results.pop_render_hook()
            stop()


class _Before(RenderHook):
    """Does something before anything is printed."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        self._act()
        return renderables


class _PlainLines:
    """A line when a stage begins, and when it ends: what a log file wants."""

    def __init__(self) -> None:
        self._seen: dict[str, bool] = {}
        self._telling = threading.Lock()

    def __call__(self, reported: Found) -> None:
        finished = reported.done >= reported.total
        with self._telling:  # stages report from threads of their own
            if reported.stage not in self._seen and not finished:
                print(f"  {reported.stage} ... {reported.note}".rstrip(), file=sys.stderr, flush=True)
            if finished and not self._seen.get(reported.stage):
                print(f"  {reported.stage}: done", file=sys.stderr, flush=True)
            self._seen[reported.stage] = finished
