"""Negated task vector: corpus > reinforcement > task vector > probing > benchmarking > scorecard > report."""

from flows.methods import METHODS
from flows.steps.asking import Review
from flows.steps.flow_runs import flow
from flows.steps.outcome import Outcome
from flows.steps.preparation import Coverage
from flows.steps.unlearning import Unlearning, carry_out, check_unlearning
from flows.steps.verdict_state import concluded
from flows.steps.wiring import Call
from tasks.artifacts import CheckpointRef, CorpusRef
from tasks.reinforcement import reinforce
from tasks.settings.task_vector_unlearning import TaskVectorUnlearningConfig
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.task_vector import subtract_task_vector

METHOD, PAPER = "task_vector", "arXiv:2212.04089"


@flow(name="task-vector", log_prints=False, validate_parameters=True)
def task_vector(
    request: UnlearningRequest,
    config: TaskVectorUnlearningConfig = TaskVectorUnlearningConfig(),
    review: Review = "off",
    coverage: Coverage = "off",
    require_verdict: bool = False,
) -> Outcome:
    """Train the model further on the forget text, and take from it what that added; retain text is only judged, since
    the vector knows nothing of it.

    Args:
        request: What is to be forgotten, by which model, and what else is at hand.
        config: All settings.
        review: Wait until a person has looked over anchors, translations and facts in the Prefect UI: `new`
            asks about what they have not decided in an earlier run for the same request, `all` about everything.
        coverage: `measure` says how much of what the target model tells of the topic is in the forget text; `expand`
            adds what is not.
        require_verdict: Whether the flow run fails when the verdict is not passed.
    """
    return concluded(carry_out(unlearning(request, config, review, coverage)), require_verdict)


def unlearning(
    request: UnlearningRequest, config: TaskVectorUnlearningConfig, review: Review = "off", coverage: Coverage = "off"
) -> Unlearning:
    """Describe the method at work on a request, after both are checked; arguments as the flow takes them."""
    checked = check_unlearning(request, config, review=review)
    return Unlearning(
        method=METHOD,
        paper=PAPER,
        presets=METHODS[METHOD].named_presets(),
        declare=declare,
        request=checked,
        review=review,
        coverage=coverage,
    )


def declare(corpus: CorpusRef, target: CheckpointRef, config: TaskVectorUnlearningConfig) -> Call:
    """Declare the stages up to the unlearned model."""
    finetuned = Call(reinforce, corpus, target, config.reinforcement, config.corpus, config.lora)
    return Call(subtract_task_vector, target, finetuned, config.vector)
