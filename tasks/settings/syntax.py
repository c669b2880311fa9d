"""Python source as a tree, from whichever thread.

Before Python 3.12 `ast.parse` in two threads at once raises SystemError now and then: it counts how deep it is in one
place for all threads. Ours take turns, and where a library's comes in between, another try is as good as the first.
"""

import ast
import threading

TRIES = 20
"""Half of the tries were never seen to fail in a row, with threads that do nothing else."""
_parsing = threading.Lock()


def parsed(code: str | bytes) -> ast.Module:
    """Return the tree of a piece of Python.

    Raises:
        SyntaxError: If it is none.
    """
    with _parsing:
        for _ in range(TRIES - 1):
            try:
                return ast.parse(code)
            except SystemError:  # another thread's count
                continue
        return ast.parse(code)
