"""The methods: one line each, the only namespace of `--method`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from tasks.settings.automatic import automatic_preset
from tasks.settings.fact_erasure import fact_erasure_preset
from tasks.settings.gradient_unlearning import gradient_preset
from tasks.settings.guardrail_unlearning import guardrail_preset
from tasks.settings.objectives.table import OBJECTIVES
from tasks.settings.scrub_unlearning import scrub_preset
from tasks.settings.selective_unlearning import preset
from tasks.settings.task_vector_unlearning import task_vector_preset


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to unlearn."""

    module: str
    """Module with the flow, of the same name, and with `declare`, its stages; loaded when it is run, since a flow loads
    everything that it uses."""
    preset: Callable[[str, int], Any]
    """Preset name and seed -> config."""
    presets: tuple[str, ...] = ("default", "paper")
    """Names of presets that are not another one's too."""
    changes_weights: bool = True

    @property
    def config(self) -> type[Any]:
        """Class of its settings."""
        return type(self.preset("default", 0))

    def named_presets(self) -> dict[str, Callable[[int], Any]]:
        """Return what makes the settings of each preset for a seed."""
        return {name: partial(self.preset, name) for name in self.presets}

    @property
    def entrypoint(self) -> str:
        """Where deployments find the flow."""
        return f"{self.module}:{self.module.rpartition('.')[2]}"

    def flow(self) -> Any:
        """Load the flow."""
        module, _, name = self.entrypoint.partition(":")
        return getattr(import_module(module), name)

    def require_text(self) -> Any:
        """Load the function that refuses a request, with its settings, for text that the method cannot do without."""
        return getattr(import_module(self.module), "require_text", lambda request, config: None)

    def unlearning(self) -> Any:
        """Load the function that describes the method at work on a request, with its settings, see
        `flows.steps.unlearning.Unlearning`.
        """
        return import_module(self.module).unlearning

    def declare(self) -> Any:
        """Load the function that declares its stages, see `flows.steps.unlearning.Declare`, those of a distillation
        among them where one follows.
        """
        from flows.steps.distilling import distilled

        own = import_module(self.module).declare
        return lambda corpus, target, config: distilled(own(corpus, target, config), corpus, target, config)


METHODS = {
    "whp": Method(module="flows.selective_unlearning", preset=preset),
    **{name: Method(module="flows.gradient_unlearning", preset=partial(gradient_preset, name)) for name in OBJECTIVES},
    "scrub": Method(module="flows.scrub", preset=scrub_preset, presets=("default", "lasting", "original", "paper")),
    "task_vector": Method(module="flows.task_vector", preset=task_vector_preset),
    "rome": Method(module="flows.fact_erasure", preset=fact_erasure_preset),
    "guardrail": Method(module="flows.guardrail", preset=guardrail_preset, changes_weights=False),
}


AUTOMATIC = {"auto": Method(module="flows.automatic", preset=automatic_preset, presets=("default",))}
"""The choice among methods, named as a method where one is unlearned by. It is none: it has no stages of its own."""


def method(name: str, known: Mapping[str, Method] = METHODS) -> Method:
    """Return a method by name.

    Raises:
        ValueError: If there is none of that name among those known, which are listed.
    """
    if name not in known:
        raise ValueError(f"--method {name}: unknown; wanted one of {', '.join(sorted(known))}")
    return known[name]
