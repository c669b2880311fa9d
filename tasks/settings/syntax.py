"""Python source as a tree, from whichever thread.

Before Python 3.12 `ast.parse` in two threads at once raises SystemError now and then: it counts how deep it is in one
place for all threads. Ours take turns, and where a library's comes in between, another try is as good as the first.
"""

import ast
import inspect
import textwrap
import threading
from collections.abc import Callable

TRIES = 20
"""Eight threads that do nothing else, with a garbage collector that lets others in, spoil one parse in a hundred."""
_parsing = threading.Lock()


def parsed(code: str | bytes) -> ast.Module:
    """Return the tree of a piece of Python.

    Raises:
        SyntaxError: If it is none.
    """
    return _alone(lambda: ast.parse(code))


def tree_of(kind: type) -> ast.Module:
    """Return the tree of a class' source, which is looked for in the tree of its file."""
    return _alone(lambda: ast.parse(textwrap.dedent(inspect.getsource(kind))))


def _alone(parse: Callable[[], ast.Module]) -> ast.Module:
    with _parsing:
        for _ in range(TRIES - 1):
            try:
                return parse()
            except SystemError:  # another thread's count
                continue
        return parse()
