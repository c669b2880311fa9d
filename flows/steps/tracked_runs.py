"""The tracked run of a flow run: what it is called, what made it, and its settings as people compare them: as params
what differs from the nearest preset, whole as a file that `--config` takes back.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from prefect.context import FlowRunContext
from prefect.runtime import flow_run

from flows.steps.settings import as_yaml, differences, setting_names, value_of
from tasks import tracking
from tasks.artifacts import CheckpointRef, InputFile
from tasks.removals.records import Removal
from tasks.removals.register import forget_digest
from tasks.reporting.judged_runs import CONFIG, CONFIG_DIGEST
from tasks.settings.rank_one_editing import rank_one_preset
from tasks.tracking_source import SOURCE

Presets = Mapping[str, Callable[[int], Any]]
"""Name of a preset -> what makes its settings for a seed."""
EDITING_PRESETS: Presets = {name: partial(rank_one_preset, name) for name in ("default", "paper")}
"""Of what is edited."""
SHOWN = 16
"""Digits of a digest that tell what it is of."""
MADE_UP = re.compile(r"[a-z]+-[a-z]+")
"""What Prefect calls a flow run; a name that a person gave may say what is to be forgotten."""


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """The preset that settings are nearest to."""

    preset: str
    seed: int
    changed: Mapping[str, Any]
    """Setting by its dotted name -> its value, where the preset has another."""

    def params(self) -> dict[str, Any]:
        """Return what is logged of the settings."""
        return {"preset": self.preset, "seed": self.seed, "settings": dict(self.changed)}


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a run says of itself when it begins."""

    method: str
    model: str = ""
    """Digest of the model that is worked on."""
    name: str = ""
    """Of the run; empty: by request or flow run, method and model."""
    paper: str = ""
    config: Any = None
    """All settings; None: there are none, or params have them."""
    presets: Presets | None = None
    """Of such settings; None: params say what matters of them."""
    removal: Removal | None = None
    """The removal request that the run is made for."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Further ones; public."""
    tags: Mapping[str, str] = field(default_factory=dict)


def open_run(told: Told) -> str:
    """Open the tracked run of the flow run that is under way, and return its id."""
    nearest = nearest_preset(told.config, told.presets) if told.presets else None
    kept = as_yaml(told.config) if told.config is not None else ""
    params = {"method": told.method, **(nearest.params() if nearest else {}), **told.params}
    name = told.name or run_name(told.method, told.model, told.removal)
    run = tracking.open_run(name, params, {**_tags(told), tracking.NOTE: _in_words(told, nearest), **told.tags})
    if kept:
        tracking.log_text(run, kept, CONFIG, "public")
        tracking.set_tags(run, {CONFIG_DIGEST: hashlib.sha256(kept.encode()).hexdigest()})
    return run


def run_name(method: str, model: str = "", removal: Removal | None = None) -> str:
    """Return what a run is called, neutrally: the request that it is made for, or else as Prefect calls the flow run,
    then method and model.
    """
    first = removal.id if removal else neutral(str(flow_run.name), str(flow_run.id))
    return " ".join(part for part in (first, method, model[:8]) if part)


def neutral(name: str, number: str) -> str:
    """Return the name of a flow run if Prefect has made it up, else the beginning of its id."""
    return name if MADE_UP.fullmatch(name) else number[:8]


def _tags(told: Told) -> dict[str, str]:
    context = FlowRunContext.get()
    code = getattr(context.flow.fn, "__module__", "") if context and context.flow else ""
    tags = {
        "lethe.method": told.method,
        "lethe.paper": told.paper,
        tracking.FLOW_RUN: str(flow_run.id or ""),
        tracking.REQUEST: told.removal.id if told.removal else "",
        SOURCE: code,
    }
    return {name: value for name, value in tags.items() if value}


def _in_words(told: Told, nearest: Nearest | None) -> str:
    words = f"`{told.method}`" + (f" ({told.paper})" if told.paper else "")
    words += f" on model `{told.model[:SHOWN]}`" if told.model else ""
    words += f", for removal request {told.removal.id}" if told.removal else ""
    if nearest:
        words += (
            f". Preset `{nearest.preset}`, seed {nearest.seed}, {len(nearest.changed)} settings changed; all of them:"
            f" `{CONFIG}` among the artifacts"
        )
    return f"{words}."


def nearest_preset(config: Any, presets: Presets) -> Nearest:
    """Return the preset, for one of the settings' own seeds, of which the fewest are changed; the first of several."""
    seeds = {value_of(config, name) for name in setting_names(config) if name.rpartition(".")[2] == "seed"}
    tried = [
        Nearest(preset=name, seed=seed, changed=differences(config, preset(seed)))
        for name, preset in presets.items()
        for seed in sorted(seeds) or [0]
    ]
    return min(tried, key=lambda one: len(one.changed))


def digests(models: Mapping[str, CheckpointRef], files: Mapping[str, Sequence[InputFile]]) -> dict[str, Any]:
    """Return as params which models and texts a run was given; of texts by digests that only this store can make."""
    texts = {split: forget_digest(given)[:SHOWN] for split, given in files.items() if given}
    return {**{label: model.digest[:SHOWN] for label, model in models.items()}, "text": texts}
