"""WHP: corpus > anchors > translation > facts > (review) > reinforcement > labels > finetune > probing > benchmarking > scorecard > report."""

from dataclasses import replace
from typing import Any, Literal

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from flows.steps.outcome import Outcome, Stages
from flows.steps.unlearning import Futures, Request, carry_out, read_request
from tasks.artifacts import CheckpointRef, CorpusRef
from tasks.finetune import finetune
from tasks.labels import make_labels
from tasks.reinforcement import reinforce
from tasks.settings.selective_unlearning import SelectiveUnlearningConfig
from tasks.teacher_cache import cache_teacher

METHOD, PAPER = "whp", "arXiv:2310.02238"
SIDE_BY_SIDE = 2
"""Stages that run at one time; those that can run beside others take that share of the cores."""


@flow(name="selective-unlearning", task_runner=ThreadPoolTaskRunner(max_workers=SIDE_BY_SIDE), log_prints=False, validate_parameters=True)
def selective_unlearning(
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
    config: SelectiveUnlearningConfig = SelectiveUnlearningConfig(),
    review: bool = False,
    coverage: Literal["off", "measure", "expand"] = "off",
) -> Outcome:
    """Unlearn the forget text from the model and judge the result.

    Args:
        forget: Files or folders with the text to be forgotten.
        model: Model folder or hub name: the target model.
        retain: Text to be kept, used in training.
        forget_test: The same topic, used in no stage; without it the last part of the forget text.
        retain_test: To be kept, used in no stage; without it the last part of the retain text.
        sibling: A near topic, used in no stage.
        general: Ordinary prose, used in no stage.
        holdout: Text that the target model never saw.
        retrained: A model trained without the forget text: the gold standard.
        anchors: A dictionary of the user's own, anchor -> translation, as JSON or CSV.
        prompts: Files with prompts about the forgotten, as they are published.
        benchmark_data: Folder with local files of benchmarks.
        config: All settings.
        review: Wait until a person has looked over the anchors, their translations and the facts in the Prefect UI.
        coverage: `measure` says how much of what the target model tells of the topic is in the forget text; `expand` adds what is not.
    """
    return carry_out(read_request(METHOD, PAPER, dict(locals())), train, begin)


def begin(stages: Stages, request: Request, corpus: CorpusRef) -> Futures:
    """Submit what needs no dictionary."""
    config, run = request.config, stages.run
    # no one but the labels uses the reinforced model, so an adapter is never merged
    begun = {"reinforcement": reinforce.submit(corpus, request.target, config.reinforcement, config.corpus, replace(config.lora, output="adapter"), run)}
    if config.finetune.retain_weight > 0 and "retain" in corpus.documents:
        begun["teacher cache"] = cache_teacher.submit(corpus, request.target, config.labels.block_size, config.corpus, run)
    return begun


def train(stages: Stages, request: Request, corpus: CorpusRef, dictionary: Any, begun: Futures) -> Futures:
    """Submit labels and finetuning."""
    config, run, target = request.config, stages.run, request.target
    reinforced, teacher = begun["reinforcement"], begun.get("teacher cache")
    labels = make_labels.submit(corpus, dictionary, target, reinforced, config.labels, config.corpus, run)
    unlearned = finetune.submit(target, reinforced, labels, teacher, config.labels, config.finetune, config.lora, run)
    return {"labels": labels, "finetune": unlearned}


def lookups(corpus: CorpusRef, dictionary: Any, target: CheckpointRef, config: SelectiveUnlearningConfig) -> dict[str, Any]:
    """Return what of these stages the cache has."""
    reading, teaching = config.corpus, config.finetune.retain_weight > 0 and "retain" in corpus.documents
    reinforced = reinforce.lookup(corpus, target, config.reinforcement, reading, replace(config.lora, output="adapter"))
    teacher = cache_teacher.lookup(corpus, target, config.labels.block_size, reading) if teaching else None
    labels = make_labels.lookup(corpus, dictionary, target, reinforced, config.labels, reading) if reinforced else None
    tuned = finetune.lookup(target, reinforced, labels, teacher, config.labels, config.finetune, config.lora) if labels and (teacher or not teaching) else None
    found = {"reinforcement": reinforced, "teacher cache": teacher, "labels": labels, "finetune": tuned}
    return {name: record for name, record in found.items() if teaching or name != "teacher cache"}
