"""What a stage finds at some steps of its training, kept in its workspace: a run that goes on from a later state still
has it.
"""

import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from tasks import store
from tasks.execution import isolation


class Marks:
    """Files that are written at some steps, a folder for each."""

    def __init__(self, steps: Sequence[int], write: Callable[[Path], None]) -> None:
        """Take the steps, counted from 1, and what writes into a folder what is found now."""
        self._steps, self._write, self._lent = steps, write, ExitStack()

    def __enter__(self) -> "Marks":
        key = isolation.current_key()
        self._folder = store.workspace(key) if key else self._lent.enter_context(store.scratch())
        return self

    def __exit__(self, *error: object) -> None:
        self._lent.close()

    def passed(self, step: int) -> None:
        """Write, where this is one of the steps; what an earlier try of the stage wrote there is replaced."""
        if step in self._steps:
            self._note(step)

    def _note(self, step: int) -> Path:
        made, half = self._folder / f"step-{step}", self._folder / f"half-{step}"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir()
        self._write(half)
        shutil.rmtree(made, ignore_errors=True)
        return half.rename(made)

    def copy(self, folder: Path) -> None:
        """Copy what was written, a folder named for each step; for a step that was never taken, what is found now."""
        for step in self._steps:
            made = self._folder / f"step-{step}"
            shutil.copytree(made if made.is_dir() else self._note(step), folder / str(step))
