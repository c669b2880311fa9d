"""The guardrail baseline: corpus > anchors > (review) > guardrail > probing > benchmarking > scorecard > report. No weight changes.

Every method has to beat it: a sentence before the prompt and a filter on the answers cost nothing. Relearning is measured on the bare
weights, which are the target's: whoever has them can leave the guardrail off.
"""

from typing import Any, Literal

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from flows.steps.outcome import Outcome, Stages
from flows.steps.unlearning import Futures, Request, carry_out, read_request
from tasks.artifacts import CheckpointRef, CorpusRef
from tasks.guardrail import build_guardrail
from tasks.settings.guardrail import GuardrailUnlearningConfig

METHOD, PAPER = "guardrail", "arXiv:2403.03329"


@flow(name="guardrail", task_runner=ThreadPoolTaskRunner(max_workers=2), log_prints=False, validate_parameters=True)
def guardrail(
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
    config: GuardrailUnlearningConfig = GuardrailUnlearningConfig(),
    review: bool = False,
    coverage: Literal["off", "measure", "expand"] = "off",
) -> Outcome:
    """Put a guardrail around the model and judge the result; the parameters are those of `selective_unlearning`.

    Args:
        forget: Files or folders with the text that is not to be spoken of.
        model: Model folder or hub name: the target model.
        retain: Text to be kept; only judged, since nothing is trained.
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
    return carry_out(read_request(METHOD, PAPER, dict(locals()), changes_weights=False), train)


def train(stages: Stages, request: Request, corpus: CorpusRef, dictionary: Any, begun: Futures) -> Futures:
    """Submit the stage that puts the guardrail around the target model; nothing is trained."""
    return {"guardrail": build_guardrail.submit(request.target, dictionary, request.config.guardrail, stages.run)}


def lookups(corpus: CorpusRef, dictionary: Any, target: CheckpointRef, config: GuardrailUnlearningConfig) -> dict[str, Any]:
    """Return what of these stages the cache has."""
    return {"guardrail": build_guardrail.lookup(target, dictionary, config.guardrail)}
