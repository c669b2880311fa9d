"""What the monitor watches: models with the text that each was to forget, as they are now, and one measurement of one.

Nothing of a measurement is tracked but its point: its stages are in the cache, and in no run of their own.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flows.steps.bases import gather_bases
from flows.steps.dictionary import translation
from flows.steps.facts import EVERYWHERE, state_facts
from flows.steps.judging import labelled, measure
from flows.steps.outcome import StageOf, Stages
from flows.steps.reading import read_text
from flows.steps.request import CheckedRequest, benchmark_inputs, check_request, prompt_files
from flows.steps.wiring import DICTIONARY, FACTS, Call, Wiring
from tasks import store, tracking, tracking_registry
from tasks.artifacts import CorpusRef
from tasks.corpus import gather_inputs
from tasks.models.gathering import find_model
from tasks.monitoring.points import Surroundings
from tasks.prompting import make_invitations
from tasks.removals import register
from tasks.removals.aliases import UNLEARNED, model_name
from tasks.removals.register import forget_digest
from tasks.reporting.cards import versions
from tasks.scorecard import score
from tasks.settings.monitoring import MonitorConfig, MonitoringConfig
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.storage.plain_files import read_json

FAMILIARITY = "forget_test/familiarity"
FIGURES = (FAMILIARITY, "benchmark/")
"""How the metrics begin that a point is made of."""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A model that is watched."""

    key: str
    """The same for all its measurements."""
    name: str
    """What it is called, public."""
    model: str
    """Folder, hub name or alias."""
    asked: Mapping[str, UnlearningRequest]
    """Name -> what it was to forget: of removal requests their ids; empty where it is one text of the user's."""


def given(request: UnlearningRequest, judged: str) -> Watched:
    """Return a user's own model, unlearned, edited or neither, with the text that it was to forget."""
    forget = forget_digest(gather_inputs(**request.files()).forget)
    name = judged if judged.startswith("models:/") else f"model {find_model(judged, 'unlearned').digest[:8]}"
    return Watched(key=f"{judged} {forget}", name=name, model=judged, asked={"": request})


def registered() -> list[Watched]:
    """Return the models that were made for removal requests and are in use: the alias `unlearned` points to them."""
    found = []
    for base in gather_bases(register.all_requests())[0]:
        name = model_name(base.digest)
        if tracking_registry.aliased(name, UNLEARNED) is not None:
            asked = {one: replace(said.text, model=base.model) for one, said in base.asked.items()}
            found.append(watched_for(name, asked))
    return found


def watched_for(name: str, asked: Mapping[str, UnlearningRequest]) -> Watched:
    """Return what is watched of the registered model of some removal requests."""
    model = f"models:/{name}@{UNLEARNED}"
    return Watched(key=model, name=model, model=model, asked=asked)


def surroundings(watched: Watched, config: MonitoringConfig) -> Surroundings:
    """Return what a measurement depends on, as it is now; nothing is computed.

    Raises:
        BadInputError: If model, text or benchmarks cannot be had.
    """
    asked = tracking.flatten(replace(config, monitor=MonitorConfig()))  # when to ask is no part of what is asked
    read: dict[str, Any] = {"settings": {name: str(value) for name, value in asked.items()}}
    for name, request in watched.asked.items():
        files = [file for each in gather_inputs(**request.files()).by_split().values() for file in each]
        local = benchmark_inputs(config, request.benchmark_data)
        files += [*prompt_files(request.prompts), *local.files.values()]
        read[f"text {name}"] = sorted(file.digest for file in files)
    return Surroundings(
        model=find_model(watched.model, "unlearned").digest,
        data=store.keyed(json.dumps(read, sort_keys=True)),
        libraries=versions(),
    )


def measured(watched: Watched, config: MonitoringConfig, draw: int) -> dict[str, float]:
    """Measure a model, and the one before it where that is known: metric -> value, those of the latter with `.target`
    appended; benchmarks once, whatever it was to forget.

    Args:
        watched: The model.
        config: All settings.
        draw: Which draw of the prompts.
    """
    asking = replace(
        config,
        probing=replace(config.probing, draw=draw),
        relearning=replace(config.relearning, steps=()),
        rounding=replace(config.rounding, bits=()),
    )
    figures: dict[str, float] = {}
    for number, (name, request) in enumerate(watched.asked.items()):
        models = {"target": request.model or None, "unlearned": watched.model}
        plain = replace(request, removal="", approve=False)
        checked = check_request(plain, asking, models, fact_splits=EVERYWHERE, needs_anchors=False)
        card = _card(checked, benchmarked=number == 0)
        figures |= _named(card["metrics"], f"{name}/" if name else "")
    return figures


def _named(metrics: Mapping[str, Mapping[str, Any]], prefix: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for metric, row in metrics.items():
        if metric.startswith(FIGURES):
            own = metric if metric.startswith("benchmark/") else f"{prefix}{metric}"
            both = {own: row["unlearned"], f"{own}.target": row["target"]}
            found |= {name: value for name, value in both.items() if value is not None}
    return found


def _card(request: CheckedRequest, *, benchmarked: bool) -> dict[str, Any]:
    """Return the figures of all models, as a scorecard has them."""
    stages, config = Stages(run=""), request.config
    corpus = read_text(stages, request.inputs, config.corpus, told=True)
    records, dictionary = _records(stages, corpus, request, benchmarked=benchmarked)
    probes, benchmarks = (labelled(records, stage) for stage in ("probing", "benchmarking"))
    scored = score.submit(corpus, probes, benchmarks, [], dictionary, config.verdict, {}, {}, run=None)
    return read_json(store.path(stages.result("scorecard", scored)) / "scorecard.json")


def _records(
    stages: Stages, corpus: CorpusRef, request: CheckedRequest, *, benchmarked: bool
) -> tuple[dict[StageOf, Any], Any]:
    config, wiring = request.config, Wiring(run=None)
    translated = translation(corpus, config, request.user_anchors, needs_anchors=False)
    wiring.submit(translated)
    dictionary = stages.results(wiring.waiting())[translated.key]
    facts = state_facts(stages, corpus, dictionary, config)
    wiring = Wiring(run=None, values={DICTIONARY: dictionary, FACTS: facts})
    invited = Call(
        make_invitations, corpus, DICTIONARY, FACTS, request.prompts, config.probing, config.corpus, config.prompting
    )
    for label, model in request.models.items():
        asked = benchmarked and label == "unlearned"
        wiring.submit(*measure(corpus, invited, model, request, label, "", benchmarked=asked))
    return stages.results({StageOf("facts"): facts, **wiring.waiting()}), dictionary
