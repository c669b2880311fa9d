"""Any entry of `OBJECTIVES`: corpus > reference cache > unlearning > probing > benchmarking > scorecard > report."""

from collections.abc import Mapping
from typing import Any, Literal

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from flows.steps.outcome import Outcome, Stages
from flows.steps.unlearning import Futures, Request, carry_out, read_request
from tasks.algorithms.objectives import objective_class
from tasks.algorithms.objectives.settings import GradientUnlearningConfig
from tasks.artifacts import BadInputError, CheckpointRef, CorpusRef
from tasks.objective_training import unlearn
from tasks.reference_cache import Asked, cache_reference


@flow(name="gradient-unlearning", task_runner=ThreadPoolTaskRunner(max_workers=2), log_prints=False, validate_parameters=True)
def gradient_unlearning(
    forget: list[str],
    model: str,
    config: GradientUnlearningConfig,
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
    review: bool = False,
    coverage: Literal["off", "measure", "expand"] = "off",
) -> Outcome:
    """Train the model away from the forget text with one objective, and judge the result.

    Args:
        forget: Files or folders with the text to be forgotten.
        model: Model folder or hub name: the target model.
        config: All settings; `method` names the objective.
        retain: Text to be kept, used in training.
        forget_test: The same topic, used in no stage; without it the last part of the forget text.
        retain_test: To be kept, used in no stage; without it the last part of the retain text.
        sibling: A near topic, used in no stage.
        general: Ordinary prose, used in no stage.
        holdout: Text that the target model never saw.
        retrained: A model trained without the forget text: the gold standard.
        anchors: A dictionary of the user's own, for what is asked about.
        prompts: Files with prompts about the forgotten, as they are published.
        benchmark_data: Folder with local files of benchmarks.
        review: Wait until a person has looked over the anchors in the Prefect UI.
        coverage: As in selective unlearning.
    """
    require_text(dict(locals()))
    return carry_out(read_request(config.method, objective_class(config.method).paper, dict(locals())), train)


def require_text(given: Mapping[str, Any]) -> None:
    """Refuse a request, the flow's parameters by name, without the retain text that alone tells the method from another one."""
    config = given["config"]
    if not given.get("retain") and (instead := getattr(objective_class(config.method), "without_retain", "")):
        raise BadInputError(f"--method {config.method} without retain text is {instead}; wanted --retain FILE..., or --method {instead}")


def train(stages: Stages, request: Request, corpus: CorpusRef, dictionary: Any, begun: Futures) -> Futures:
    """Submit the stages that train."""
    config, run = request.config, stages.run
    reference = cache_reference.submit(corpus, request.target, _asked(config), config.rows, config.corpus, run)
    trained = unlearn.submit(corpus, request.target, reference, config.method, config.objective, config.training, config.corpus, config.lora, run)
    return {"reference cache": reference, "finetune": trained}


def lookups(corpus: CorpusRef, dictionary: Any, target: CheckpointRef, config: GradientUnlearningConfig) -> dict[str, Any]:
    """Return what of these stages the cache has."""
    reference = cache_reference.lookup(corpus, target, _asked(config), config.rows, config.corpus)
    given = (corpus, target, reference, config.method, config.objective, config.training, config.corpus, config.lora)
    return {"reference cache": reference, "finetune": unlearn.lookup(*given) if reference else None}


def _asked(config: GradientUnlearningConfig) -> Asked:
    needs = tuple(sorted(objective_class(config.method)(config.objective).needs))
    return Asked(needs=needs, layer=getattr(config.objective, "layer", None), stored=config.training.teacher == "cached")
