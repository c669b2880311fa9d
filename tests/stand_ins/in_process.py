"""Stages in the process of the test: what a process of their own does is tested elsewhere, and takes most of the
time.
"""

import threading
from collections.abc import Callable
from typing import Any

from tasks.execution import isolation

_ONE_AT_A_TIME = threading.Lock()
"""Transformers loads a model with its weights' place changed for the whole process: two at once would meet."""


def in_this_process(
    function: Callable[..., Any], arguments: dict[str, Any], *, stage: str, key: str | None, **limits: Any
) -> Any:
    """Take the place of `isolation.run_isolated`."""
    with _ONE_AT_A_TIME:
        return isolation.call(function, arguments, stage, key)
