"""Negated task vector: corpus > reinforcement > task vector > probing > benchmarking > scorecard > report."""

from typing import Any, Literal

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from flows.steps.outcome import Outcome, Stages
from flows.steps.unlearning import Futures, Request, carry_out, read_request
from tasks.artifacts import CheckpointRef, CorpusRef
from tasks.reinforcement import reinforce
from tasks.settings.task_vector import TaskVectorUnlearningConfig
from tasks.task_vector import subtract_task_vector

METHOD, PAPER = "task_vector", "arXiv:2212.04089"


@flow(name="task-vector", task_runner=ThreadPoolTaskRunner(max_workers=2), log_prints=False, validate_parameters=True)
def task_vector(
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
    config: TaskVectorUnlearningConfig = TaskVectorUnlearningConfig(),
    review: bool = False,
    coverage: Literal["off", "measure", "expand"] = "off",
) -> Outcome:
    """Train the model further on the forget text, and take from it what that added; the parameters are those of `selective_unlearning`.

    Args:
        forget: Files or folders with the text to be forgotten.
        model: Model folder or hub name: the target model.
        retain: Text to be kept; only judged, since the vector knows nothing of it.
        forget_test: The same topic, used in no stage; without it the last part of the forget text.
        retain_test: To be kept; without it the last part of the retain text.
        sibling: A near topic.
        general: Ordinary prose.
        holdout: Text that the target model never saw.
        retrained: A model trained without the forget text: the gold standard.
        anchors: A dictionary of the user's own, anchor -> translation, as JSON or CSV.
        prompts: Files with prompts about the forgotten, as they are published.
        benchmark_data: Folder with local files of benchmarks.
        config: All settings.
        review: Wait until a person has looked over the anchors in the Prefect UI.
        coverage: `measure` says how much of what the target model tells of the topic is in the forget text; `expand` adds what is not.
    """
    return carry_out(read_request(METHOD, PAPER, dict(locals())), train, begin)


def begin(stages: Stages, request: Request, corpus: CorpusRef) -> Futures:
    """Submit what needs no dictionary."""
    config = request.config
    return {"reinforcement": reinforce.submit(corpus, request.target, config.reinforcement, config.corpus, config.lora, stages.run)}


def train(stages: Stages, request: Request, corpus: CorpusRef, dictionary: Any, begun: Futures) -> Futures:
    """Submit the operation on the weights."""
    return {"task vector": subtract_task_vector.submit(request.target, begun["reinforcement"], request.config.vector, stages.run)}


def lookups(corpus: CorpusRef, dictionary: Any, target: CheckpointRef, config: TaskVectorUnlearningConfig) -> dict[str, Any]:
    """Return what of these stages the cache has."""
    finetuned = reinforce.lookup(corpus, target, config.reinforcement, config.corpus, config.lora)
    return {"reinforcement": finetuned, "task vector": subtract_task_vector.lookup(target, finetuned, config.vector) if finetuned else None}
