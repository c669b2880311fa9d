"""The methods: one line each, the only namespace of `--method`."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from tasks.algorithms.config import SelectiveUnlearningConfig, preset
from tasks.algorithms.guardrail_config import GuardrailUnlearningConfig, guardrail_preset


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to unlearn."""

    entrypoint: str
    """`module:flow`; loaded when it is run, since a flow loads everything that it uses."""
    config: type[Any]
    preset: Callable[[str, int], Any]
    """Preset name and seed -> config."""
    changes_weights: bool = True

    def flow(self) -> Any:
        """Load the flow."""
        module, _, name = self.entrypoint.partition(":")
        return getattr(import_module(module), name)


METHODS = {
    "whp": Method(entrypoint="flows.selective_unlearning:selective_unlearning", config=SelectiveUnlearningConfig, preset=preset),
    "guardrail": Method(entrypoint="flows.guardrail:guardrail", config=GuardrailUnlearningConfig, preset=guardrail_preset, changes_weights=False),
}


def method(name: str) -> Method:
    """Return a method by name.

    Raises:
        ValueError: If there is none of that name; the known ones are listed.
    """
    if name not in METHODS:
        raise ValueError(f"--method {name}: unknown; wanted one of {', '.join(sorted(METHODS))}")
    return METHODS[name]
