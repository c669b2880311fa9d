"""Claims: a stage's beginning and end are each said once, whichever threads report it; results stand below the bars."""

import builtins
import io
import threading
import time

import pytest
from rich.console import Console

from flows.terminal.progress_bars import progress_bars
from tasks.execution import progress


def report_together(done: int) -> None:
    reported = progress.Progress(stage="probing", done=done, total=2)
    threads = [threading.Thread(target=progress.publish, args=(reported,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_lines_are_said_once(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    say = builtins.print
    monkeypatch.setattr(builtins, "print", lambda *words, **named: [time.sleep(0.02), say(*words, **named)])
    with progress_bars(Console(file=io.StringIO()), Console(file=io.StringIO())):
        report_together(1)
        report_together(2)
    assert capsys.readouterr().err == "  probing ...\n  probing: done\n"


def test_a_terminal_has_one_bar_a_stage() -> None:
    screen = io.StringIO()
    with progress_bars(Console(file=screen, force_terminal=True, width=120), Console(file=io.StringIO())):
        for done in (1, 2):
            report_together(done)
    last = screen.getvalue().rpartition("\x1b[2K")[2]
    assert last.count("probing") == 1


def test_results_stand_below_the_bars_and_nothing_moves_afterwards() -> None:
    screen = io.StringIO()
    bars, results = (Console(file=screen, force_terminal=True, width=120) for _ in range(2))
    with progress_bars(bars, results):
        report_together(2)
        results.print("passed")
        said = screen.getvalue()
        report_together(1)
        results.print("and more")
    assert said.rindex("probing") < said.rindex("passed")
    assert screen.getvalue() == said + "and more\n"
