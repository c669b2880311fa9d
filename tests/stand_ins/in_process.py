"""Stages in the process of the test: what a process of their own does is tested elsewhere, and takes most of the
time.
"""

from collections.abc import Callable
from typing import Any

from tasks.execution import isolation


def in_this_process(
    function: Callable[..., Any], arguments: dict[str, Any], *, stage: str, key: str | None, **limits: Any
) -> Any:
    """Take the place of `isolation.run_isolated`."""
    return isolation.call(function, arguments, stage, key)
