"""SCRUB: corpus > reference cache > scrub (max- and min-steps) > rewind > probing > benchmarking > scorecard > report."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from flows.steps.outcome import Outcome, Stages
from flows.steps.unlearning import Futures, Request, carry_out, read_request
from tasks.algorithms.objectives import objective_class
from tasks.artifacts import BadInputError, CheckpointRef, CorpusRef
from tasks.reference_cache import Asked, cache_reference
from tasks.rewind import rewind_checkpoints
from tasks.scrub import scrub as train_scrub
from tasks.settings.rows import RowsConfig
from tasks.settings.scrub import ScrubUnlearningConfig, scrub_preset, source_remark

METHOD, PAPER = "scrub", "arXiv:2302.09880"


@flow(name="scrub", task_runner=ThreadPoolTaskRunner(max_workers=2), log_prints=False, validate_parameters=True)
def scrub(
    forget: list[str],
    model: str,
    retain: list[str] | None = None,
    forget_test: list[str] | None = None,
    retain_test: list[str] | None = None,
    sibling: list[str] | None = None,
    general: list[str] | None = None,
    holdout: list[str] | None = None,
    retrained: str | None = None,
    anchors: str | None = None,
    prompts: list[str] | None = None,
    benchmark_data: str | None = None,
    config: ScrubUnlearningConfig = scrub_preset("default"),
    review: bool = False,
    coverage: Literal["off", "measure", "expand"] = "off",
) -> Outcome:
    """Hold the model to itself on retain text and drive it away on forget text; the parameters are those of `selective_unlearning`.

    Args:
        forget: Files or folders with the text to be forgotten.
        model: Model folder or hub name: the target model.
        retain: Text to be kept, used in training; wanted.
        forget_test: The same topic, used in no stage; without it the last part of the forget text.
        retain_test: To be kept; without it the last part of the retain text.
        sibling: A near topic.
        general: Ordinary prose.
        holdout: Text that the target model never saw; the rewind compares errors with it.
        retrained: A model trained without the forget text: the gold standard.
        anchors: A dictionary of the user's own, anchor -> translation, as JSON or CSV.
        prompts: Files with prompts about the forgotten, as they are published.
        benchmark_data: Folder with local files of benchmarks.
        config: All settings.
        review: Wait until a person has looked over the anchors in the Prefect UI.
        coverage: `measure` says how much of what the target model tells of the topic is in the forget text; `expand` adds what is not.
    """
    given = dict(locals())
    require_text(given)
    request = read_request(METHOD, PAPER, given)
    notes = {"max-step": config.scrub.max_step, "source work": source_remark(config, request.target.parameters)}
    named = {name: words for name, words in notes.items() if words}
    return carry_out(replace(request, provenance=named), train)


def require_text(given: Mapping[str, Any]) -> None:
    """Refuse a request, the flow's parameters by name, without the text that SCRUB needs beside the forget text."""
    reasons = {"retain": "holds on to retain text"} | ({"holdout": "rewinds by held-out text"} if given["config"].rewind.enabled else {})
    for wanted, why in reasons.items():
        if not given.get(wanted):
            raise BadInputError(f"--method scrub {why}, and there is none; wanted --{wanted} FILE...")


def train(stages: Stages, request: Request, corpus: CorpusRef, dictionary: Any, begun: Futures) -> Futures:
    """Submit max- and min-steps, and the choice among their checkpoints."""
    config, run = request.config, stages.run
    reference = cache_reference.submit(corpus, request.target, _asked(config), _rows(config), config.corpus, run)
    given = (corpus, request.target, reference, config.scrub, config.training, config.rewind, config.corpus, config.lora)
    candidates = train_scrub.submit(*given, run)
    return {"reference cache": reference, "scrub": candidates, "rewind": rewind_checkpoints.submit(corpus, candidates, config.rewind, config.corpus, run)}


def lookups(corpus: CorpusRef, dictionary: Any, target: CheckpointRef, config: ScrubUnlearningConfig) -> dict[str, Any]:
    """Return what of these stages the cache has."""
    reference = cache_reference.lookup(corpus, target, _asked(config), _rows(config), config.corpus)
    given = (corpus, target, reference, config.scrub, config.training, config.rewind, config.corpus, config.lora)
    candidates = train_scrub.lookup(*given) if reference else None
    chosen = rewind_checkpoints.lookup(corpus, candidates, config.rewind, config.corpus) if candidates else None
    return {"reference cache": reference, "scrub": candidates, "rewind": chosen}


def _asked(config: ScrubUnlearningConfig) -> Asked:
    needs = tuple(sorted(objective_class(METHOD).needs))
    return Asked(needs=needs, differing=config.scrub.positions == "differing", stored=config.training.teacher == "cached")


def _rows(config: ScrubUnlearningConfig) -> RowsConfig:
    return RowsConfig(tokens=config.training.block_size)
