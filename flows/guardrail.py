"""The guardrail baseline: corpus > anchors > (review) > guardrail > probing > benchmarking > scorecard > report. No
weight changes.

Every method has to beat it: a sentence before the prompt and a filter on the answers cost nothing. Relearning is
measured on the bare weights, which are the target's: whoever has them can leave the guardrail off.
"""

from flows.methods import METHODS
from flows.steps.asking import Review
from flows.steps.flow_runs import flow
from flows.steps.outcome import Outcome
from flows.steps.preparation import Coverage
from flows.steps.unlearning import Unlearning, carry_out, check_unlearning
from flows.steps.verdict_state import concluded
from flows.steps.wiring import DICTIONARY, Call
from tasks.artifacts import CheckpointRef, CorpusRef
from tasks.guardrail import build_guardrail
from tasks.settings.guardrail_unlearning import GuardrailUnlearningConfig
from tasks.settings.unlearning_request import UnlearningRequest

METHOD, PAPER = "guardrail", "arXiv:2403.03329"


@flow(name="guardrail", log_prints=False, validate_parameters=True)
def guardrail(
    request: UnlearningRequest,
    config: GuardrailUnlearningConfig = GuardrailUnlearningConfig(),
    review: Review = "off",
    coverage: Coverage = "off",
    require_verdict: bool = False,
) -> Outcome:
    """Put a guardrail around the model and judge the result; retain text is only judged, since nothing is trained.

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
    request: UnlearningRequest, config: GuardrailUnlearningConfig, review: Review = "off", coverage: Coverage = "off"
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
        changes_weights=False,
    )


def declare(corpus: CorpusRef, target: CheckpointRef, config: GuardrailUnlearningConfig) -> Call:
    """Declare the stage that puts the guardrail around the target model; nothing is trained."""
    return Call(build_guardrail, target, DICTIONARY, config.guardrail)
