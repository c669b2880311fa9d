"""What methods share whose training can be restricted to some MLPs: the call that names these, and words of it."""

from collections.abc import Mapping
from typing import Any

from flows.steps.outcome import StageOf
from flows.steps.wiring import DICTIONARY, Call
from tasks.artifacts import CheckpointRef, CorpusRef, Localisation
from tasks.localisation import localise
from tasks.settings.evaluation import LocalisableConfig


def localised(corpus: CorpusRef, target: CheckpointRef, config: LocalisableConfig) -> Call | None:
    """Declare the call that names the layers whose MLPs are trained; none where all weights are."""
    if config.localisation.by == "all":
        return None
    return Call(localise, corpus, DICTIONARY, target, config.localisation, config.corpus)


def account(records: Mapping[StageOf, Any]) -> dict[str, str]:
    """Return in words, for card and log, which weights were trained, where these are not all."""
    found: Localisation | None = records.get(StageOf("localisation"))
    return {"trained": _in_words(found)} if found else {}


def _in_words(found: Localisation) -> str:
    named = f"MLPs of layer{'s' * (len(found.layers) > 1)} {', '.join(map(str, found.layers))}"
    how = "by" if found.by == "trace" else "drawn from those not named by"
    return f"{named} ({how} trace of {found.facts} fact{'s' * (found.facts > 1)})"
